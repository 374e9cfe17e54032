"""From a mask function of transformers to :class:`.sight.Sight`, by asking it about few pairs."""

from __future__ import annotations

import functools
from itertools import pairwise

import torch
from torch import Tensor

from longsum_lib.errors import UnsupportedAttention
from longsum_lib.interface.sight import Sight
from longsum_lib.upstream.masks import MaskFunction, MaskParts, NotUnderstood, ask, parts_of, signature

_REASON = "attn_implementation='longsum' cannot follow this model: {}; use 'sdpa' or 'eager'"


def read_sight(
    function: MaskFunction, queries: int, keys: int, query_offset: int, key_offset: int, attention_mask: Tensor | None
) -> Sight:
    """Return what a mask function says of a run of queries and a run of keys.

    Args:
        function: of batch, head, query position and key position.
        queries: number of queries.
        keys: number of keys.
        query_offset: position of the first query.
        key_offset: position of the first key.
        attention_mask: ``(batch, positions)`` bool, ``True`` for real tokens, from position 0 on; too short a one is
            filled up with ``False``.

    Raises:
        UnsupportedAttention: it is no band of keys around each query, or holds what is not known here.

    Cost:
        time ``O(queries + keys)``, at about 60 pairs a query; the answer is remembered.
    """
    try:
        parts = parts_of(function)
    except NotUnderstood as reason:
        raise UnsupportedAttention(_REASON.format(reason)) from None
    left, right = _band(parts, queries, keys, query_offset, key_offset)
    padding = _padding(parts, keys, key_offset, attention_mask)
    documents = _documents(parts, keys, key_offset)
    return Sight(keys, left, right, query_offset - key_offset, padding, documents)


def _padding(parts: MaskParts, keys: int, key_offset: int, attention_mask: Tensor | None) -> Tensor | None:
    seen: Tensor | None = None
    for mask in (attention_mask, *parts.padding):
        if mask is None:
            continue
        mask = mask.bool()[:, key_offset : key_offset + keys]
        mask = torch.nn.functional.pad(mask, (0, keys - mask.shape[1]))
        seen = mask if seen is None else seen & mask
    return None if seen is None or bool(seen.all()) else seen


def _documents(parts: MaskParts, keys: int, key_offset: int) -> tuple[tuple[tuple[int, int], ...], ...] | None:
    """Runs of keys that belong to one document, from the numbers of documents and chunks."""
    numbers = [sequence[:, key_offset : key_offset + keys] for sequence in parts.sequences]
    for size, pads in parts.chunks:
        position = key_offset + torch.arange(keys, device=pads.device)
        numbers.append((position - pads[:, None]).div(size, rounding_mode="floor"))
    if not numbers:
        return None
    changes = torch.stack([number.diff(dim=1) != 0 for number in numbers]).any(0)
    if not bool(changes.any()):
        return None
    return tuple(tuple(pairwise([0, *(place.nonzero().flatten() + 1).tolist(), keys])) for place in changes.cpu())


def _band(parts: MaskParts, queries: int, keys: int, query_offset: int, key_offset: int) -> tuple[int, int]:
    """The band that all plain functions leave together; no side is wider than there are keys."""
    left = right = query_offset + queries + key_offset + keys
    for function in parts.plain:
        sides = _remembered(_Known(function), queries, keys, query_offset, key_offset)
        left, right = min(left, sides[0]), min(right, sides[1])
    return left, right


class _Known:
    """A plain function, equal to another of the same code and numbers."""

    def __init__(self, function: MaskFunction):
        self.function, self.signature = function, signature(function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and self.signature == other.signature

    def __hash__(self) -> int:
        return hash(self.signature)


@functools.lru_cache(maxsize=256)
def _remembered(known: _Known, queries: int, keys: int, query_offset: int, key_offset: int) -> tuple[int, int]:
    function = known.function
    query = query_offset + torch.arange(queries)
    key = key_offset + torch.arange(keys)
    whole = query_offset + queries + key_offset + keys
    left, right, rows = whole, whole, sorted({0, queries // 2, queries - 1})
    answers = {row: ask(function, query[row], key) for row in rows}
    for row, sees in answers.items():
        places = sees.nonzero().flatten()
        if not len(places):
            continue
        first, last, own = int(places[0]), int(places[-1]), int(query[row]) - key_offset
        left = min(left, own - first) if first > 0 else left
        right = min(right, last - own) if last < keys - 1 else right
    if left < 0 or right < 0:
        raise UnsupportedAttention(_REASON.format("its queries do not see their own place"))
    for row, sees in answers.items():
        if not torch.equal(sees, (key >= query[row] - left) & (key <= query[row] + right)):
            raise UnsupportedAttention(_REASON.format(f"in its mask, query {row} sees no band of neighbouring keys"))
    _check_diagonals(function, query, key, left, right)
    return left, right


def _check_diagonals(function: MaskFunction, query: Tensor, key: Tensor, left: int, right: int) -> None:
    """See at every query, some 60 keys apart, that the function is the band."""
    powers = [2**exponent for exponent in range(len(key).bit_length())]
    steps = {0, *powers, *(-power for power in powers)}
    steps |= {edge + step for edge in (-left, right) for step in (-2, -1, 0, 1, 2)}
    apart = torch.tensor(sorted(step for step in steps if abs(step) <= 2 * len(key)))
    asked = (query[:, None] + apart).clamp(int(key[0]), int(key[-1]))
    expected = (asked >= query[:, None] - left) & (asked <= query[:, None] + right)
    if not torch.equal(ask(function, query[:, None], asked), expected):
        raise UnsupportedAttention(_REASON.format("its queries do not all see the same band of keys"))
