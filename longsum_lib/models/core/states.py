"""Small operations on states that all layers share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from longsum_lib.models.core.looking import Freedom

# Rows that pass through a feed-forward layer at once at inference: 512 rows of 3,072 fp32 are 6 MiB, which stay in
# the processor's cache between the two products.
ROWS_PER_CHUNK = 512
# On a GPU each chunk is a handful of kernels, which the processor starts one by one: few large ones keep it busy.
ROWS_PER_CHUNK_ON_GPU = 4096


def rows_per_chunk(states: Tensor) -> int:
    """Return how many rows of ``(batch, length, …)`` pass through a feed-forward layer at once."""
    return ROWS_PER_CHUNK if states.device.type == "cpu" else ROWS_PER_CHUNK_ON_GPU


def split_heads(states: Tensor, heads: int) -> Tensor:
    """View ``(batch, length, heads * dim)`` as ``(batch, heads, length, dim)``."""
    split: Tensor = states.unflatten(-1, (heads, -1))
    return split.transpose(1, 2)


def merge_heads(states: Tensor) -> Tensor:
    """Undo :func:`split_heads`; no copy where the heads of a position lie side by side."""
    return states.transpose(1, 2).flatten(2)


def by_chunks(function: Callable[..., Tensor], *inputs: Tensor, freedom: Freedom, out: Tensor | None = None) -> Tensor:
    """Apply a row-wise function of ``(batch, length, …)`` tensors, chunk by chunk where nobody looks.

    Args:
        function: treats every row on its own.
        inputs: tensors with the same first two dimensions.
        freedom: ``IN_PLACE`` lets the result overwrite the first input.
        out: where the result goes otherwise, unless the function is called once.

    Returns:
        ``(batch, length, features)``.

    Cost:
        extra memory: the temporaries of one chunk, beside ``out``.
    """
    length = inputs[0].shape[1]
    if freedom is Freedom.WHOLE:
        return function(*inputs)
    if out is None and freedom is Freedom.IN_PLACE:
        out = inputs[0]
    step = rows_per_chunk(inputs[0])
    if length <= step:
        result = function(*inputs)
        return result if out is None else out.copy_(result)
    for batch in range(inputs[0].shape[0]):
        for first in range(0, length, step):
            rows = (slice(batch, batch + 1), slice(first, first + step))
            result = function(*(x[rows] for x in inputs))
            if out is None:
                out = result.new_empty(*inputs[0].shape[:2], *result.shape[2:])
            out[rows] = result
            del result  # else it lives while the next chunk makes its own
    return function(*inputs) if out is None else out  # no documents, nothing made


def clamp_half(states: Tensor) -> Tensor:
    """Keep fp16 states finite, as BART's family does; other dtypes pass unchanged."""
    if states.dtype != torch.float16:
        return states
    limit = torch.finfo(torch.float16).max - 1000
    return states.clamp(-limit, limit)


def dropout(states: Tensor, p: float, training: bool) -> Tensor:
    """Drop features and remember which in one byte each; ``F.dropout`` keeps a float each on the CPU."""
    if not training or p == 0.0:
        return states
    return torch.native_dropout(states, p, True)[0]
