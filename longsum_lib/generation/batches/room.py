"""How many documents fit into memory at once, by the formulas of ``longsum memory``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from longsum_lib.budget.available import free_memory
from longsum_lib.budget.formulas import plan
from longsum_lib.upstream.accelerate import running_device
from longsum_lib.upstream.torch import lacks_half

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHARE = 0.5
"""Of the memory that is free at the start, what documents may take together: others work on the machine too."""

MOST_ROWS = 32
"""Rows that are written together: beyond these a step costs as much a row as one row alone."""


class Room:
    """The memory that documents share.

    Args:
        model: A model that writes.
        beams: Rows of a document.
        new_tokens: The longest summary.
        limit: Documents at once, at most; None sets no limit beside ``MOST_ROWS`` and memory.
    """

    def __init__(self, model: PreTrainedModel, beams: int, new_tokens: int, limit: int | None) -> None:
        from longsum_lib.memory import config_numbers

        device = running_device(model)
        self._model: Mapping[str, Any] = dict(config_numbers(model.config))
        self._run: Mapping[str, Any] = {
            "beams": beams,
            "new_tokens": new_tokens,
            "bytes_per_number": model.dtype.itemsize,
            "device": "gpu" if device.type == "cuda" else "cpu",
            "half": int(not lacks_half()),
        }
        self.limit = max(1, MOST_ROWS // beams if limit is None else limit)
        free = free_memory(device)
        self._free = float("inf") if free is None else SHARE * free
        self._taken: dict[int, float] = {}

    def fits(self, length: int) -> bool:
        """Tell whether a document of so many tokens may come in; the first one always may."""
        if not self._taken:
            return True
        if len(self._taken) >= self.limit:
            return False
        encoder, decoder = self._needs(length)
        return sum(self._taken.values()) + max(encoder, decoder) <= self._free

    def padded(self, longest: int | None) -> int:
        """Return how many documents of up to so many tokens fit into one padded batch."""
        encoder, decoder = self._needs(longest or 16_384)
        return int(max(1, min(self.limit, self._free // max(encoder, decoder))))

    def take(self, document: int, length: int) -> None:
        """Let a document come in."""
        self._taken[document] = self._needs(length)[1]

    def leave(self, document: int) -> None:
        """Let it go."""
        del self._taken[document]

    def _needs(self, length: int) -> tuple[float, float]:
        """Return what a document takes while it is encoded, and while it is written about."""
        found = plan({**self._model, **self._run, "length": length})
        rows = 6 * self._run["beams"] * self._model["vocabulary"] * 4  # logits and what is made of them
        return found["encoder"], found["cross_cache"] + found["self_cache"] + rows
