"""A band of keys around each query: any window to the left and right, full and causal attention, by the engine.

Queries may continue a cache (there are more keys than queries), share key heads, have sinks and capped scores, and
stand in packed documents. What no window bounds is computed without a mask as well: causal attention is a triangle in
each block and a rectangle of all keys before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.kernels import half_cpu
from longsum_lib.attention.engine.key_sets import GrowingKeySet, KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.engine.pieces import Documents, most_rows
from longsum_lib.upstream.torch import tracing

# Queries in a block where all keys before it are seen; scores that are stored make smaller ones.
CAUSAL_BLOCK = 512
STORED_SCORES = 2**22


def block_size_for(window: int) -> int:
    """Queries in a block: an eighth of the band, which keeps the wasted corners of the band below an eighth."""
    return min(256, max(32, 1 << max(0, window // 4 - 1).bit_length()))


def band_bias(block_size: int, left: int, right: int, query: Tensor) -> Tensor:
    """Bias of a block against its window: 0 in the band, ``-inf`` in its two corners; ``(1, 1, 1, block, size)``."""
    asked = ("band", block_size, left, right, query.device)
    return fact(asked, (), lambda: _band(block_size, left, right, query.device))


def _band(block_size: int, left: int, right: int, device: torch.device) -> Tensor:
    row = torch.arange(block_size, device=device)[:, None]
    column = torch.arange(block_size + left + right, device=device)[None, :]
    outside = (column < row) | (column > row + left + right)
    return torch.zeros(outside.shape, device=device).masked_fill_(outside, -torch.inf)[None, None, None]


def window_keys(
    query: Tensor, key: Tensor, value: Tensor, left: int, right: int, offset: int = 0, padding: Tensor | None = None
) -> KeySet:
    """Return the keys from ``left`` before to ``right`` behind each query, as one set.

    Args:
        query: ``(batch, heads, rows, head_dim)``.
        key: ``(batch, key_heads, keys, head_dim)``.
        value: same shape.
        left: keys before a query that it sees.
        right: keys behind a query that it sees.
        offset: position of the first query among the keys.
        padding: ``(batch, keys)`` bool, ``True`` for real tokens.
    """
    size = half_cpu.block_size(query, block_size_for((left + right + 1) // 2))
    size = min(size, 1 << max(0, query.shape[2] - 1).bit_length())
    bias = band_bias(size, left, right, query)
    width = size + left + right
    return KeySet(key, value, size, width, start=offset - left, step=size, bias=bias, attend=padding)


def band_key_sets(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    left: int,
    right: int,
    offset: int = 0,
    padding: Tensor | None = None,
    stores_scores: bool = False,
) -> list[KeySet | GrowingKeySet]:
    """Return the key sets that make up a band; their union is what each query sees, each key once.

    Args:
        query: ``(batch, heads, rows, head_dim)``.
        key: ``(batch, key_heads, keys, head_dim)``.
        value: ``(batch, key_heads, keys, value_dim)``.
        left: keys before a query that it sees; as many as there are, or more, for all.
        right: keys behind it, likewise.
        offset: position of the first query among the keys.
        padding: ``(batch, keys)`` bool, ``True`` for real tokens.
        stores_scores: whether the kernel will store scores: blocks are then small.
    """
    rows, keys = query.shape[2], key.shape[2]
    all_before, all_behind = left >= offset + rows - 1, right >= keys - 1 - offset
    most = max(32, STORED_SCORES // max(1, query.shape[1] * keys)) if stores_scores else CAUSAL_BLOCK
    if all_before and all_behind:
        size = min(rows, most if stores_scores else most_rows(query.device))
        return [KeySet(key, value, max(1, size), attend=padding)]
    if not all_before or right >= rows:
        left, right = min(left, offset + rows), min(right, keys)
        return [window_keys(query, key, value, left, right, offset, padding)]
    size = min(CAUSAL_BLOCK, 1 << max(0, rows - 1).bit_length(), 1 << (most.bit_length() - 1))
    triangle = band_bias(size, 0, size, query)[..., :size].flip(-1).flip(-2).contiguous()  # column <= row
    near = KeySet(key, value, size, size, start=offset + right, step=size, bias=triangle, attend=padding)
    before = GrowingKeySet(key, value, size, offset + right, step=size, attend=padding)
    return [near, before]


def band_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    left: int,
    right: int,
    scale: float,
    offset: int = 0,
    padding: Tensor | None = None,
    real: Tensor | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    documents: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Tensor:
    """Attend from each query to the keys from ``left`` before to ``right`` behind it.

    Args:
        query: ``(batch, heads, rows, head_dim)``.
        key: ``(batch, key_heads, keys, head_dim)``; ``key_heads`` divides ``heads``.
        value: ``(batch, key_heads, keys, value_dim)``.
        left: keys before a query that it sees; as many as there are, or more, for all.
        right: keys behind it, likewise; 0 is causal.
        scale: factor of the dot product.
        offset: position of the first query among the keys.
        padding: ``(batch, keys)`` bool, ``True`` where a key may be seen.
        real: ``(batch, rows)`` bool, ``True`` where a query asks; the rows of others are zeros.
        dropout: probability of dropping an attention weight.
        softcap: bound of the scaled scores.
        sinks: ``(heads,)``, scores that take weight and give nothing.
        documents: for each sequence first and end of the documents packed into it, among the keys and in their
            order; a query sees the keys of its own one.

    Returns:
        ``(batch, heads, rows, value_dim)``; zeros in rows that see nothing.

    Cost:
        time ``O(rows · min(left + right, keys))``; extra memory: the output and a few MiB.
    """
    if tracing() and not dropout and value.shape == key.shape:
        flat = None if documents is None else [edge for row in documents for pair in row for edge in pair]
        counts = None if documents is None else [len(row) for row in documents]
        numbers = (left, right, offset, scale, softcap, flat, counts)
        return _band_operator(query, key, value, padding, real, sinks, *numbers)
    stores = bool(dropout) or softcap is not None
    sets = band_key_sets(query, key, value, left, right, offset, padding, stores)
    packed = None if documents is None else Documents(documents, offset)
    return block_attention(
        query, sets, scale=scale, attend=real, dropout=dropout, softcap=softcap, sinks=sinks, documents=packed
    )


@opaque("band")
def _band_operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    real: Tensor | None,
    sinks: Tensor | None,
    left: int,
    right: int,
    offset: int,
    scale: float,
    softcap: float | None,
    edges: Sequence[int] | None,
    counts: Sequence[int] | None,
) -> Tensor:
    documents = None
    if edges is not None and counts is not None:
        pairs = iter(zip(edges[::2], edges[1::2], strict=True))
        documents = [[next(pairs) for _ in range(count)] for count in counts]
    return band_attention(
        query,
        key,
        value,
        left=left,
        right=right,
        scale=scale,
        offset=offset,
        padding=padding,
        real=real,
        softcap=softcap,
        sinks=sinks,
        documents=documents,
    )
