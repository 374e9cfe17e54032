"""The step under transformers' ``generate``: its loop, its options, and a ``forward`` that takes the short way.

``generate`` calls ``forward`` once a token with the cache that it was given. A :class:`StepCache` tells ``forward``
that nobody looks inside; what is asked for beyond logits ends that, and the cache goes on as an ordinary one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation.configuration_utils import GenerationMode
from transformers.utils.generic import ModelOutput

from longsum_lib.models.core.cache import SharedCache, beams_per_document
from longsum_lib.models.core.looking import writing_is_looked_at
from longsum_lib.models.core.step.decoder import StepDecoder
from longsum_lib.models.core.step.documents import DocumentKeys
from longsum_lib.models.core.step.parts import Writes
from longsum_lib.models.core.step.products import Unreadable
from longsum_lib.models.core.step.rows import Rows
from longsum_lib.upstream.torch import tracing, transforming
from longsum_lib.upstream.transformers import output_of

Forward = TypeVar("Forward", bound=Callable[..., Any])

_MODES = frozenset(
    {
        GenerationMode.GREEDY_SEARCH,
        GenerationMode.SAMPLE,
        GenerationMode.BEAM_SEARCH,
        GenerationMode.BEAM_SAMPLE,
    }
)
# What ``generate`` hands to ``forward`` in each of these modes and what has been used before the first step.
_SETTLED = frozenset(
    {"decoder_input_ids", "encoder_outputs", "attention_mask", "global_attention_mask", "cache", "use_cache"}
)


# Tokens for which there is room at first: most summaries are not longer, and what may be 1,024 seldom is.
FIRST_CAPACITY = 128


class StepCache(SharedCache):
    """Stands for the rows of a :class:`.StepDecoder` where ``generate`` expects a cache.

    Args:
        self_attention_cache: where the keys and values go if somebody begins to look.
        decoder: writes the tokens.
        most: tokens that no row will have more of.
    """

    def __init__(self, self_attention_cache: DynamicCache, decoder: StepDecoder, most: int) -> None:
        super().__init__(self_attention_cache)
        self.most = most
        self.decoder: StepDecoder | None = decoder
        self.rows: Rows | None = None

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens each row has."""
        return super().get_seq_length(layer_idx) if self.rows is None else self.rows.positions[0]

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Follow the chosen beams ``(rows,)``."""
        if self.rows is None:
            super().reorder_cache(beam_idx)
        else:
            self.rows.reorder(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row, as an ordinary cache from now on."""
        self.give_back()
        super().batch_repeat_interleave(repeats)

    def check_dynamic_cache(self, method: str) -> None:
        """Become an ordinary cache before its owner cuts or repeats it."""
        self.give_back()
        super().check_dynamic_cache(method)

    def give_back(self) -> None:
        """Become an ordinary cache: own keys and values as the step made them, the document's when they are needed."""
        rows, self.rows = self.rows, None
        decoder, self.decoder = self.decoder, None
        if rows is None or decoder is None or rows.positions[0] == 0:
            return
        for layer in range(len(decoder.weights.layers)):
            self.self_attention_cache.update(*rows.own_keys(layer), layer)


def step_cache(
    model: Writes, config: GenerationConfig, mode: GenerationMode | None, cache: EncoderDecoderCache
) -> StepCache | None:
    """Return a cache by which ``forward`` takes the short way, or ``None`` where somebody looks inside.

    Args:
        model: any of this library's ``…ForConditionalGeneration``.
        config: of this call of ``generate``.
        mode: how it chooses tokens.
        cache: the cache that ``generate`` has made.
    """
    own = cache.self_attention_cache
    if mode not in _MODES or type(own) is not DynamicCache or getattr(own, "offloading", False):
        return None
    if config.return_dict_in_generate or config.is_assistant or not config.use_cache:
        return None
    if model.config.output_attentions or model.config.output_hidden_states:
        return None
    if not can_step(model):
        return None
    try:
        return StepCache(own, StepDecoder(model), config.max_length)
    except Unreadable:
        return None


def can_step(model: Writes) -> bool:
    """Tell whether nobody would notice that a model's decoder is not called: no hooks, adapters, gradients, tracers."""
    if model.training or torch.is_grad_enabled() or tracing() or transforming():
        return False
    if (model.device.type != "cpu" and not model.records_steps) or not isinstance(model, nn.Module):
        return False
    return not writing_is_looked_at(model, model.get_encoder())


def steps(output: type[ModelOutput]) -> Callable[[Forward], Forward]:
    """Make a ``forward`` take the short way where its cache is a :class:`StepCache`.

    Args:
        output: class of what it returns.
    """

    def decorate(forward: Forward) -> Forward:
        @functools.wraps(forward)
        def stepping(self: Writes, *args: Any, **kwargs: Any) -> Any:
            cache = kwargs.get("cache")
            if not isinstance(cache, StepCache) or cache.decoder is None:
                return forward(self, *args, **kwargs)
            logits = None if args else _logits(self, cache, kwargs)
            if logits is None:
                cache.give_back()
                return forward(self, *args, **kwargs)
            states = kwargs["encoder_outputs"][0]
            return output_of(output, cache=cache, logits=logits, encoder_last_hidden_state=states)

        return stepping  # type: ignore[return-value]  # functools.wraps keeps the signature

    return decorate


def _logits(model: Writes, cache: StepCache, given: Mapping[str, Any]) -> Tensor | None:
    """Logits ``(rows, length, vocabulary)`` of the given tokens; ``None`` where more is asked for or it cannot be."""
    return_dict = given.get("return_dict")
    asked = {name for name, value in given.items() if value is not None and value is not False} - {"return_dict"}
    tokens, documents = given.get("decoder_input_ids"), given.get("encoder_outputs")
    if asked - _SETTLED or return_dict is False or tokens is None or documents is None:
        return None
    if torch.is_grad_enabled() or not given.get("use_cache", True):
        return None
    if cache.rows is None and cache.decoder is not None:
        texts = _documents(model, cache.decoder, len(tokens), documents[0], given.get("attention_mask"))
        cache.rows = cache.decoder.open(texts, min(cache.most, FIRST_CAPACITY), cache.most)
    rows = cache.rows
    if rows is None or len(rows) != len(tokens):
        return None
    try:
        return torch.stack([rows.step(column) for column in tokens.unbind(1)], 1)
    except IndexError:  # beyond the last position, or an unknown token; the long way says what is wrong
        return None


def _documents(
    model: Writes, decoder: StepDecoder, rows: int, states: Tensor, mask: Tensor | None
) -> list[DocumentKeys]:
    """Make the keys of each document, and name them once a row."""
    real = model.seen_by_decoder(mask)
    beams = beams_per_document(rows, len(states))
    masks = [None] * len(states) if real is None else list(real)
    documents = [decoder.document(one, seen, beams) for one, seen in zip(states, masks, strict=True)]
    return [document for document in documents for _ in range(beams)]
