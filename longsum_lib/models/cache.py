"""A cache whose encoder part is shared by all beams of a document.

Beam search runs ``beams`` copies of every document. Their self-attention differs, but the keys and values of the
encoder are the same for all of them: they are computed once a document, never expanded and never re-ordered.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.generation import GenerationMixin


class _OnceLayer(DynamicLayer):
    """Holds the keys and values of the documents as a decoding step reads them best: every new token reads them all.

    Each head's rows lie side by side. Of fp32 keys on the CPU each head's *columns* do: a plain product with a few
    queries then reads them in order.
    """

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        self.lazy_initialization(key_states, value_states)
        if key_states.device.type == "cpu" and key_states.dtype == torch.float32 and not torch.compiler.is_compiling():
            self.keys = key_states.transpose(-1, -2).contiguous().transpose(-1, -2)
        else:
            self.keys = key_states.contiguous()
        self.values = value_states.contiguous()
        return self.keys, self.values


class SharedCache(EncoderDecoderCache):
    """Self-attention cache a beam, cross-attention cache a document.

    Args:
        self_attention_cache: any transformers cache, dynamic or static.
    """

    def __init__(self, self_attention_cache: Cache | None = None):
        own = DynamicCache() if self_attention_cache is None else self_attention_cache
        super().__init__(own, Cache(layer_class_to_replicate=_OnceLayer))

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Follow the chosen beams. A beam never leaves its document, so the encoder's part stays as it is."""
        self.self_attention_cache.reorder_cache(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row of the self-attention part; the documents stay the same."""
        self.self_attention_cache.batch_repeat_interleave(repeats)

    def check_dynamic_cache(self, method: str) -> None:
        """Allow what a dynamic self-attention cache allows."""
        if not isinstance(self.self_attention_cache, DynamicCache):
            raise TypeError(f"`{method}` needs a dynamic self-attention cache, got {self.self_attention_cache!r}")


class SharedGenerationMixin(GenerationMixin):
    """transformers' ``generate``, with one copy of the document for all beams and returned sequences."""

    # The loss is the mean over a batch, whatever ``num_items_in_batch`` says. Without this, Trainer takes the
    # ``**kwargs`` of ``forward`` for a promise and does not divide by the number of accumulated batches.
    accepts_loss_kwargs = False

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.LongTensor | None = None,
        **model_kwargs: Any,
    ):
        document = {name: model_kwargs.pop(name) for name in _DOCUMENT if name in model_kwargs}
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=False, input_ids=input_ids, **model_kwargs
        )
        return input_ids, {**model_kwargs, **document}

    def _prepare_cache_for_generation(self, generation_config, model_kwargs, *args, **kwargs):
        made_here = model_kwargs.get("past_key_values") is None
        result = super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        cache = model_kwargs.get("past_key_values")
        if made_here and isinstance(cache, EncoderDecoderCache):
            model_kwargs["past_key_values"] = SharedCache(cache.self_attention_cache)
        return result


# What belongs to the document and is the same for all its beams.
_DOCUMENT = ("encoder_outputs", "attention_mask", "global_attention_mask")


def beams_per_document(rows: int, documents: int) -> int:
    """Return how many decoder rows share a document.

    Raises:
        ValueError: if the rows do not divide evenly.
    """
    if documents == 0 or rows % documents:
        raise ValueError(
            f"the decoder has {rows} rows and the encoder {documents} documents; "
            "rows must be a multiple of documents, beams of one document side by side"
        )
    return rows // documents
