"""One token of a summary: by the model's own ``forward``, and as ``generate`` writes it."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping

import torch

from .measure import MEBIBYTE, summary
from .programs import OURS

TOKENS = 8
"""Tokens of one timing; what a document takes once, whatever is written about it, is taken off."""


class Decoding:
    """Steps by the model's ``forward``: one token a beam, then the cache follows the chosen beams."""

    def __init__(self, program: str, model: torch.nn.Module, states: torch.Tensor, beams: int):
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        from longsum_lib.models.core.cache import SharedCache

        self.model, self.beams = model, beams
        documents = 1 if program == OURS else beams  # transformers' generate repeats the document for each beam
        self.encoded = BaseModelOutput(last_hidden_state=states.repeat_interleave(documents, dim=0))
        self.mask = torch.ones(documents, states.shape[1], dtype=torch.long)
        self.cache = SharedCache() if program == OURS else EncoderDecoderCache(DynamicCache(), DynamicCache())
        self.tokens = torch.full((beams, 1), 5)
        self.order = torch.arange(beams).roll(1)

    @torch.no_grad()
    def step(self) -> torch.Tensor:
        """Return the logits of the next token, ``(beams, 1, vocabulary)``."""
        logits = self.model(
            decoder_input_ids=self.tokens,
            encoder_outputs=self.encoded,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        if self.beams > 1:
            self.cache.reorder_cache(self.order)
        return logits

    def cross_cache_mib(self) -> float:
        """Memory of the encoder's keys and values."""
        layers = self.cache.cross_attention_cache.layers
        return sum(t.nbytes for layer in layers for t in (layer.keys, layer.values)) / MEBIBYTE


class Writing:
    """Summaries by ``generate`` about states that an encoder has made."""

    def __init__(self, model: torch.nn.Module, states: torch.Tensor, beams: int):
        self.model, self.beams, self.states = model, beams, states
        self.mask = torch.ones(1, states.shape[1], dtype=torch.long)

    @torch.inference_mode()
    def write(self, tokens: int) -> torch.Tensor:
        """Write so many tokens."""
        from transformers.models.led.modeling_led import LEDEncoderBaseModelOutput

        return self.model.generate(
            encoder_outputs=LEDEncoderBaseModelOutput(last_hidden_state=self.states),
            attention_mask=self.mask,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            num_beams=self.beams,
        )

    def seconds(self) -> tuple[float, float]:
        """A token's seconds by the clock and of the processor."""
        spent = []
        for tokens in (1, 1 + TOKENS):
            gc.collect()
            clock, cpu = time.perf_counter(), time.process_time()
            self.write(tokens)
            spent.append((time.perf_counter() - clock, time.process_time() - cpu))
        (clock_one, cpu_one), (clock_all, cpu_all) = spent
        return (clock_all - clock_one) / TOKENS, (cpu_all - cpu_one) / TOKENS


def token_times(writers: Mapping[str, Writing], rounds: int) -> dict[str, dict[str, float | dict]]:
    """Time a token of several programs in alternation; see :func:`.measure.in_turns` for what is returned."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in writers}
    for writer in writers.values():
        writer.write(2)
    for number in range(rounds):
        for name in list(writers) if number % 2 == 0 else list(reversed(writers)):
            found[name].append(writers[name].seconds())
    return {
        name: {**summary([clock for clock, _ in pairs]), "cpu": summary([cpu for _, cpu in pairs])}
        for name, pairs in found.items()
    }
