"""An encoder layer as a stream: a chunk of rows passes through the whole layer before the next one starts.

At inference nothing of a chunk is needed once the layer has written its new states, except the keys and values that
the next chunk's windows still reach. So a layer's temporaries are those of one chunk, however long the document is;
they stay in the processor's cache, and the allocator hands out the same pages again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Rows of a chunk. 2,048 rows of 768 fp32 are 6 MiB: the temporaries of a chunk fit a processor's last-level cache.
# A GPU wants larger matrix products.
ROWS_PER_STEP = 2048
ROWS_PER_STEP_ON_GPU = 16384


def rows_per_step(states: Tensor) -> int:
    """Rows that pass through a layer at once."""
    return ROWS_PER_STEP if states.device.type == "cpu" else ROWS_PER_STEP_ON_GPU


def can_stream(states: Tensor) -> bool:
    """Whether a layer may treat ``(batch, length, d_model)`` chunk by chunk, and has more than one chunk."""
    watched = torch.is_grad_enabled() or torch.compiler.is_compiling()
    return not watched and states.shape[0] * states.shape[1] > rows_per_step(states)


def chunks(length: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield first and end of runs of ``rows`` rows; the last may be shorter."""
    for first in range(0, length, rows):
        yield first, min(first + rows, length)


class NearKeys:
    """Keys and values around a chunk; they move forward over one sequence, and each row is projected once.

    Args:
        project: makes keys and values ``(1, rows, d_model)`` of states ``(1, rows, d_model)``.
        states: ``(1, length, d_model)``; rows that were projected may be overwritten.
    """

    def __init__(self, project: Callable[[Tensor], tuple[Tensor, Tensor]], states: Tensor):
        self.project, self.states = project, states
        self.first = self.end = 0
        self.kept: tuple[Tensor, ...] = ()

    def move(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Return keys and values of rows ``first`` to ``end``, cut at the ends of the sequence.

        Neither end may lie before that of the call before.
        """
        first, end = max(first, 0), min(end, self.states.shape[1])
        kept = [tensor[:, first - self.first :] for tensor in self.kept]
        if end > self.end:
            new = self.project(self.states[:, self.end : end])
            kept = [torch.cat(pair, dim=1) for pair in zip(kept, new, strict=True)] if kept else list(new)
        self.first, self.end, self.kept = first, end, tuple(kept)
        return self.kept
