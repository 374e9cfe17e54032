"""What a layer passes to its attention besides queries, keys and values, and what of that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from longsum_lib.errors import UnsupportedAttention
from longsum_lib.upstream.transformers import OLD_NAMES

WITHOUT_MEANING = frozenset(
    {
        *("sliding_window", "position_ids", "cu_seq_lens_k", "max_length_q", "max_length_k", "deterministic"),
        *("use_cache", *OLD_NAMES.keys(), *OLD_NAMES.values(), "cache_position", "output_hidden_states"),
        *(
            "num_items_in_batch",
            "output_router_logits",
            "logits_to_keep",
            "return_dict",
            "token_type_ids",
            "inputs_embeds",
        ),
    }
)
"""Keywords that say nothing about what is attended to. The window is in the mask, with its exact sides."""

REFUSED = {
    "position_bias": "it learns a bias for every pair of positions, which fills a matrix of all pairs",
    "indices": "it chooses the keys of each query by an indexer",
    "block_indices": "it chooses the blocks of keys of each query by an indexer",
    "sinks": "it has sinks of a kind of its own",
    "seq_idx": "its packed documents are numbered by seq_idx; give position_ids that begin again with each document",
    "head_mask": "it masks whole heads",
}
"""Keywords that change the scores in ways that are not done here, with the reason."""


@dataclass(frozen=True)
class Scores:
    """How scores are made and used.

    Attributes:
        scale: factor of the dot product.
        dropout: probability of dropping an attention weight.
        softcap: bound of the scaled scores.
        sinks: ``(heads,)``, scores that take weight and give nothing.
        is_causal: what a layer without a mask means.
        documents: first and end of the documents packed into the one sequence, where the layer names them.
    """

    scale: float
    dropout: float = 0.0
    softcap: float | None = None
    sinks: Tensor | None = None
    is_causal: bool = False
    documents: tuple[tuple[int, int], ...] | None = None

    @property
    def stored(self) -> bool:
        """Whether no fused kernel does this, so that scores are stored, a piece at a time."""
        return bool(self.dropout) or self.softcap is not None

    @property
    def options(self) -> dict[str, Any]:
        """Keywords for the engine."""
        return {"scale": self.scale, "dropout": self.dropout, "softcap": self.softcap, "sinks": self.sinks}


def read_arguments(
    module: nn.Module, query: Tensor, dropout: float, scaling: float | None, options: Mapping[str, Any]
) -> Scores:
    """Read what a layer passes to its attention.

    Raises:
        UnsupportedAttention: it passes something that is not known, or not done here.
    """
    options = {name: given for name, given in options.items() if given is not None and name not in WITHOUT_MEANING}
    known = {name: options.pop(name, None) for name in ("is_causal", "softcap", "s_aux", "cu_seq_lens_q")}
    if options.pop("output_attentions", False):
        raise UnsupportedAttention(
            "attention weights fill a matrix of all pairs, which attn_implementation='longsum' never makes; use 'eager'"
        )
    for name in options:
        reason = REFUSED.get(name, f"it passes {name!r}, and whether that changes the scores is not known here")
        raise UnsupportedAttention(
            f"attn_implementation='longsum' cannot do the attention of {type(module).__name__}: {reason}; "
            "use 'sdpa' or 'eager'"
        )
    causal = known["is_causal"]
    return Scores(
        scale=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
        dropout=float(dropout),
        softcap=known["softcap"],
        sinks=known["s_aux"],
        is_causal=bool(getattr(module, "is_causal", True) if causal is None else causal),
        documents=_documents(known["cu_seq_lens_q"]),
    )


def _documents(cu_seq_lens: Tensor | None) -> tuple[tuple[int, int], ...] | None:
    return None if cu_seq_lens is None else tuple(pairwise(cu_seq_lens.flatten().tolist()))
