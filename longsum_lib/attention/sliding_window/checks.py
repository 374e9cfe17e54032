"""What a window attention asks of its tensors, taken together."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def check_window_arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    is_global: Tensor | None,
    padding: Tensor | None,
    sinks: Tensor | None,
    cu_seqlens: Tensor | None,
    offset: int | None,
) -> int:
    """Check the tensors of a window attention against each other, and return the position of its first query.

    Raises:
        ValueError: if shapes or kinds disagree, or options exclude each other.
    """
    _check_window_shapes(query, key, value)
    batch, length, keys = query.shape[0], query.shape[2], key.shape[2]
    for name, mask in (("is_global", is_global), ("padding", padding)):
        if mask is None:
            continue
        if mask.dtype != torch.bool:
            raise ValueError(f"{name} has dtype {mask.dtype}, expected torch.bool; pass {name}.bool()")
        if mask.shape != (batch, keys):
            raise ValueError(f"{name} has shape {tuple(mask.shape)}, expected (batch, length) = {(batch, keys)}")
    if sinks is not None and tuple(sinks.shape) != (query.shape[1],):
        raise ValueError(f"sinks has shape {tuple(sinks.shape)}, expected one score a head: {(query.shape[1],)}")
    place = keys - length if offset is None else offset
    if place < 0 or place + length > keys:
        raise ValueError(
            f"offset is {place} with {length} queries and {keys} keys; expected at most {keys - length} and not less "
            "than 0: each query stands at a key"
        )
    if is_global is not None and (keys != length or cu_seqlens is not None):
        raise ValueError("is_global goes neither with cu_seqlens nor with more keys than queries; leave one out")
    if cu_seqlens is not None:
        _check_documents(cu_seqlens, batch, length, keys)
    return place


def _check_window_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in (query, key, value)]
    fit = query.dim() == key.dim() == 4 and key.shape == value.shape
    fit = fit and query.shape[0] == key.shape[0] and query.shape[-1] == key.shape[-1]
    fit = fit and (key.shape[1] == query.shape[1] or (key.shape[1] > 0 and query.shape[1] % key.shape[1] == 0))
    if not fit:
        raise ValueError(
            f"query, key and value have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; all three must be "
            "(batch, heads, length, head_dim), the heads of keys and values those of queries or a divisor"
        )


def _check_documents(cu_seqlens: Tensor, batch: int, length: int, keys: int) -> None:
    if batch != 1 or keys != length:
        raise ValueError(
            f"cu_seqlens needs a batch of 1 and as many keys as queries, got a batch of {batch}, {length} queries and "
            f"{keys} keys; documents are packed into one sequence"
        )
    edges = cu_seqlens.tolist() if cu_seqlens.dim() == 1 and not cu_seqlens.is_floating_point() else []
    if not edges or edges[0] != 0 or edges[-1] != length or any(a > b for a, b in itertools.pairwise(edges)):
        raise ValueError(
            f"cu_seqlens is {edges or tuple(cu_seqlens.shape)}, expected integers from 0 up to the length, {length}"
        )
