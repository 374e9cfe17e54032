"""What the engine computes at once: runs of blocks, and which positions of a sequence are real."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longsum_lib.attention.engine.facts import fact

# Rows of queries handled by one kernel call. 4,096 rows of 12 heads of 64 are 12 MiB: small enough that the
# allocator reuses the pages of the call before, large enough that the call itself costs nothing.
ROWS_PER_CALL = 4096
# A GPU has no use for small calls: each is a few kernels that the processor starts one by one.
ROWS_PER_CALL_ON_GPU = 8192


def most_rows(device: torch.device) -> int:
    """Return how many rows of queries one kernel call handles on a device."""
    return ROWS_PER_CALL if device.type == "cpu" else ROWS_PER_CALL_ON_GPU


@dataclass(frozen=True)
class Span:
    """The real positions of one sequence: all lie in ``[first, end)``; ``holes`` if some in between are not real."""

    first: int
    end: int
    holes: bool

    def cut(self, first: int, end: int) -> Span:
        """Return what lies in ``[first, end)``."""
        return Span(max(first, self.first), max(first, min(end, self.end)), self.holes)


def real_spans(attend: Tensor | None, batch: int, length: int) -> list[Span]:
    """Return the span of real positions of each sequence of a batch; ``None`` means that all are real."""
    if attend is None:
        return [Span(0, length, False)] * batch
    if length == 0:
        return [Span(0, 0, False)] * batch
    return fact("spans", (attend,), lambda: _spans(attend, length))


def _spans(attend: Tensor, length: int) -> list[Span]:
    counts = attend.sum(1)
    first = attend.to(torch.uint8).argmax(1)
    end = length - attend.flip(1).to(torch.uint8).argmax(1)
    rows = torch.stack([first, end, counts]).tolist()  # one host synchronization for the whole batch
    return [Span(f, e, n < e - f) if n else Span(0, 0, False) for f, e, n in zip(*rows, strict=True)]


@dataclass(frozen=True)
class Documents:
    """Documents packed into the sequences of a batch: a query sees the keys of its own one.

    Attributes:
        spans: for each sequence first and end of its documents among the keys, in their order.
        offset: position of the first query among the keys.
    """

    spans: Sequence[Sequence[tuple[int, int]]]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of ``count`` blocks that one kernel call handles; ``rows`` queries and ``keys`` keys in each."""

    block: int
    count: int
    row: int  # first query of the first block
    rows: int
    row_in_block: int
    key: int  # first key of the first block
    keys: int
    key_in_window: int

    def covers(self, length: int) -> bool:
        """Whether neighbouring queries of this one piece are all there are."""
        return self.row == 0 and self.count * self.rows == length


def blocks_of(queries: Span, block_size: int, offset: int = 0) -> range:
    """Return the blocks that hold real queries; block 0 begins ``offset`` before query 0."""
    return range((queries.first + offset) // block_size, -(-(queries.end + offset) // block_size))


def cut_block(
    block: int, queries: Span, row: int, end_row: int, visible: Span, start: int, end: int
) -> Iterator[Piece]:
    """Yield one block as a piece, cut to the queries and keys that are real; nothing where one of them is missing.

    Args:
        block: number of the block.
        queries: span of the real queries.
        row: first query of the block.
        end_row: end of its queries.
        visible: span of the keys that may be seen.
        start: first key of the block's window.
        end: end of its keys.
    """
    first_row, end_row = max(row, queries.first), min(end_row, queries.end)
    first_key, end_key = max(start, visible.first), min(end, visible.end)
    if first_row < end_row and first_key < end_key:
        place = (first_row, end_row - first_row, first_row - row, first_key, end_key - first_key)
        yield Piece(block, 1, *place, first_key - start)


def strided_blocks(tensor: Tensor, first: int, count: int, step: int, size: int, apart: int = 1) -> Tensor:
    """View rows of ``(heads, length, dim)`` as ``(count, heads, size, dim)`` blocks, no copy.

    Args:
        tensor: ``(heads, length, dim)``.
        first: first row of the first block.
        count: number of blocks.
        step: rows from one block to the next.
        size: rows in a block.
        apart: rows from one row of a block to its next.
    """
    heads, rows, dim = tensor.stride()
    shape = (count, tensor.shape[0], size, tensor.shape[2])
    return tensor.as_strided(shape, (step * rows, heads, apart * rows, dim), tensor.storage_offset() + first * rows)
