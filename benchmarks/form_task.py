"""The task of :mod:`benchmarks.form`: a form at the head of a document, which only the encoder can fill in.

A document of symbols. First a start symbol and the form, one symbol for each of eight items in any order; then filler,
and among it eight facts: one symbol says an item and its value, one of eight. The decoder is asked for every item and
answers with a value. If it sees the states of the form alone, whatever it knows of a fact came there through the
encoder's pattern. Positions are taken out of the encoders, so that nothing but the pattern decides; LongT5 keeps its
biases of nearby distances, which belong to its attention.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

import torch
from torch import Tensor, nn
from transformers import LEDConfig, LongT5Config, PegasusXConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from longsum_lib.models import (
    LEDForConditionalGeneration,
    LongT5ForConditionalGeneration,
    LSGPegasusConfig,
    LSGPegasusForConditionalGeneration,
    PegasusXForConditionalGeneration,
)

ITEMS = VALUES = 8
FORM = 1 + ITEMS  # the start symbol and the items
FILLERS = 32
START = 1
FIRST_ITEM = 2
FIRST_VALUE = FIRST_ITEM + ITEMS
FIRST_FILLER = FIRST_VALUE + VALUES
FIRST_FACT = FIRST_FILLER + FILLERS
VOCABULARY = FIRST_FACT + ITEMS * VALUES
LONGEST = 8192  # positions of LED's table, which is empty

SIZES: dict[str, int | float] = {
    "vocab_size": VOCABULARY, "d_model": 64, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "dropout": 0.0,
    "attention_dropout": 0.0, "activation_dropout": 0.0, "pad_token_id": 0, "eos_token_id": START,
    "bos_token_id": START, "decoder_start_token_id": START, "init_std": 0.06,
}  # fmt: skip


class Batch(TypedDict):
    """Documents ``(count, length)``; the items asked, the right values and the facts' places ``(count, ITEMS)``."""

    documents: Tensor
    asked: Tensor
    values: Tensor
    places: Tensor


def make_batch(count: int, length: int, generator: torch.Generator) -> Batch:
    """Draw documents; every place behind the form is equally likely for a fact.

    Args:
        count: Documents.
        length: Symbols of each, the form included.
        generator: Draws everything.
    """
    documents = torch.randint(FIRST_FILLER, FIRST_FACT, (count, length), generator=generator)
    documents[:, 0] = START
    documents[:, 1:FORM] = FIRST_ITEM + _shuffled(count, ITEMS, generator)[:, :ITEMS]
    places = FORM + _shuffled(count, length - FORM, generator)[:, :ITEMS]
    values = torch.randint(VALUES, (count, ITEMS), generator=generator)
    documents.scatter_(1, places, FIRST_FACT + torch.arange(ITEMS) * VALUES + values)
    order = _shuffled(count, ITEMS, generator)
    return {
        "documents": documents,
        "asked": FIRST_ITEM + order,
        "values": values.gather(1, order),
        "places": places.gather(1, order),
    }


def _shuffled(count: int, many: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, many, generator=generator).argsort(1)


@dataclass(frozen=True)
class Pattern:
    """One encoder: a family and what it has beside the nearest neighbours.

    Attributes:
        family: ``led``, ``pegasus-x``, ``longt5`` or ``lsg``.
        parts: What carries beyond them, some of ``first`` and ``form`` (LED's global tokens), ``stagger``, ``globals``,
            ``sums``, ``sparse``.
        layers: Encoder layers.
        window: Neighbours on each side that a token sees in LED and LongT5; half a block in the others.
    """

    family: str
    parts: frozenset[str] = field(default_factory=frozenset)
    layers: int = 2
    window: int = 8


class FormReader(nn.Module):
    """A whole encoder-decoder of the library, whose decoder may see the form's states alone."""

    def __init__(self, pattern: Pattern, form_only: bool):
        super().__init__()
        self.pattern, self.form_only = pattern, form_only
        self.model = _MAKERS[pattern.family](pattern)
        _without_positions(self.model, pattern)
        with torch.no_grad():
            _join_symbols(self.model.get_input_embeddings().weight)

    def forward(self, documents: Tensor, asked: Tensor) -> Tensor:
        """Return scores of the values, ``(count, asked, VALUES)``."""
        flags = {}
        if self.pattern.family == "led":
            flags["global_attention_mask"] = torch.zeros_like(documents)
            how_many = FORM if "form" in self.pattern.parts else int("first" in self.pattern.parts)
            flags["global_attention_mask"][:, :how_many] = 1
        states = self.model.get_encoder()(documents, **flags).last_hidden_state
        states = states[:, :FORM].contiguous() if self.form_only else states
        encoded = BaseModelOutput(last_hidden_state=states)
        output = self.model(encoder_outputs=encoded, decoder_input_ids=asked, use_cache=False)
        return output.logits[..., FIRST_VALUE : FIRST_VALUE + VALUES]


def _join_symbols(table: Tensor) -> None:
    """Let a fact's symbol begin as the sum of its item's and its value's: what belongs together need not be found."""
    items, values = table[FIRST_ITEM:FIRST_VALUE], table[FIRST_VALUE:FIRST_FILLER]
    table[FIRST_FACT:] = (items[:, None] + values).flatten(0, 1)


def _led(pattern: Pattern) -> PreTrainedModel:
    config = LEDConfig(
        **SIZES,
        encoder_layers=pattern.layers,
        attention_window=[2 * pattern.window] * pattern.layers,
        max_encoder_position_embeddings=LONGEST,
        max_decoder_position_embeddings=2 * ITEMS,
    )
    return LEDForConditionalGeneration(config)


def _pegasus_x(pattern: Pattern) -> PreTrainedModel:
    config = PegasusXConfig(
        **SIZES | {"init_std": 0.125},
        encoder_layers=pattern.layers,
        block_size=2 * pattern.window,
        num_global_tokens=ITEMS if "globals" in pattern.parts else 0,
        stagger_local_blocks="stagger" in pattern.parts,
    )
    return PegasusXForConditionalGeneration(config)


def _longt5(pattern: Pattern) -> PreTrainedModel:
    config = LongT5Config(
        vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=128, num_layers=pattern.layers, num_decoder_layers=1,
        num_heads=4, local_radius=pattern.window - 1, global_block_size=2 * pattern.window, dropout_rate=0.0,
        encoder_attention_type="transient-global" if "sums" in pattern.parts else "local", feed_forward_proj="relu",
        pad_token_id=0, eos_token_id=START, decoder_start_token_id=START,
    )  # fmt: skip
    return LongT5ForConditionalGeneration(config)


def _lsg(pattern: Pattern) -> PreTrainedModel:
    size = 2 * pattern.window
    sparse = {"sparsity_type": "norm", "sparse_block_size": size, "sparsity_factor": 4}
    no_sparse = {"sparsity_type": "none", "sparse_block_size": 0, "sparsity_factor": 0}
    config = LSGPegasusConfig(
        **SIZES | {"init_std": 0.125},
        **(sparse if "sparse" in pattern.parts else no_sparse),
        encoder_layers=pattern.layers,
        scale_embedding=True,
        block_size=size,
        num_global_tokens=1,
        pass_global_tokens_to_decoder=False,
        pool_with_global=False,
        max_position_embeddings=LONGEST,
    )
    model = LSGPegasusForConditionalGeneration(config)
    if "globals" not in pattern.parts:
        for layer in model.get_encoder().layers:
            layer.register_forward_pre_hook(_forget_global)
    return model


def _forget_global(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Empty LSG's global token before a layer: it cannot be left out, but then it carries nothing."""
    states, *others = inputs
    return torch.cat([torch.zeros_like(states[:, :1]), states[:, 1:]], 1), *others


class _Nowhere(nn.Module):
    """Positions that say nothing, for encoders that ask by length (PEGASUS-X) or by first and length (LSG)."""

    def __init__(self, width: int):
        super().__init__()
        self.width, self.positions = width, LONGEST

    def forward(self, *asked: int | torch.device) -> Tensor:
        return torch.zeros(max(number for number in asked if isinstance(number, int)), self.width)


def _without_positions(model: PreTrainedModel, pattern: Pattern) -> None:
    encoder = model.get_encoder()
    if pattern.family == "led":
        encoder.embed_positions.weight.requires_grad_(False).zero_()
    elif pattern.family in ("pegasus-x", "lsg"):
        encoder.embed_positions = _Nowhere(model.config.d_model)


_MAKERS = {"led": _led, "pegasus-x": _pegasus_x, "longt5": _longt5, "lsg": _lsg}
