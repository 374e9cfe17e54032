"""Which queries see which keys: the geometry of :class:`KeySet`, and how it is cut into kernel calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows of queries handled by one kernel call. 4,096 rows of 12 heads of 64 are 12 MiB: small enough that the
# allocator reuses the pages of the call before, large enough that the call itself costs nothing.
ROWS_PER_CALL = 4096


@dataclass(frozen=True)
class KeySet:
    """Keys that blocks of queries see: block ``i`` sees keys ``start + i * step`` to ``start + i * step + size``.

    Block ``i`` holds the queries ``i * block_size - offset`` to ``(i + 1) * block_size - offset``. Keys and queries
    outside the sequence do not exist: windows and blocks are cut there.

    Attributes:
        key: ``(batch, heads, keys, head_dim)``.
        value: ``(batch, heads, keys, head_dim)``.
        block_size: queries in a block.
        size: keys in a block's window; ``None`` = all keys.
        start: first key of block 0, may be negative.
        step: keys from one block's window to the next; 0 = every block sees the same keys.
        offset: how far block 0 begins before query 0.
        bias: additive scores, broadcastable to ``(batch, heads, blocks, block_size, size)``, 5-dimensional;
            ``-inf`` forbids a pair. It may be learned: it gets its gradient. Or 3-dimensional, finite,
            ``(batch | 1, heads | 1, block_size + size - 1)``: row ``r`` and key ``c`` of every block add element
            ``r + c``, and neither the matrix of these scores nor that of its gradients is ever made.
        attend: ``(batch, keys)`` bool, ``True`` where a key may be seen.
        interleave: 1 = a block holds neighbouring queries. More: there are ``interleave`` blocks, and block ``i``
            holds the queries ``i``, ``i + interleave``, ``i + 2 * interleave`` …, ``block_size`` at most; all blocks
            see the same keys.
        asking: first and end of the queries of each sequence that see this set; ``None`` = all.
        chosen: ``(heads | 1, blocks, count)`` int64: block ``i`` of head ``h`` sees the ``count`` blocks of keys
            ``chosen[h, i]``, each ``block_size`` long, and nothing else. ``size`` is then ``count * block_size``;
            ``start``, ``step``, ``bias`` and ``interleave`` are not used.
        growing: the windows keep their start and gain ``step`` keys a block: block ``i`` sees the keys ``start`` to
            ``start + size + i * step``. Without ``bias`` and ``interleave``.
    """

    key: Tensor
    value: Tensor
    block_size: int
    size: int | None = None
    start: int = 0
    step: int = 0
    offset: int = 0
    bias: Tensor | None = None
    attend: Tensor | None = None
    interleave: int = 1
    asking: tuple[tuple[int, int], ...] | None = None
    chosen: Tensor | None = None
    growing: bool = False

    @property
    def width(self) -> int:
        """Keys in a whole window; where windows grow, in the largest there can be."""
        if self.growing:
            return self.key.shape[2]
        if self.chosen is not None:
            return self.chosen.shape[-1] * self.block_size
        return self.key.shape[2] if self.size is None else self.size

    @property
    def row_step(self) -> int:
        """Queries from one block's first to the next block's first."""
        return self.block_size if self.interleave == 1 else 1


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


@dataclass(frozen=True)
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


def pieces(keys: KeySet, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
    """Cut the blocks that hold real queries into runs of equal shape; blocks at an edge become pieces of their own.

    Args:
        keys: the key set.
        queries: span of the real queries.
        visible: span of the keys that may be seen.
        rows_per_call: most queries in a piece, but a block is never cut.

    Yields:
        The pieces, none of them empty: without keys or heads torch's fused kernel ends the process (SIGFPE).
    """
    if not keys.width or not keys.key.shape[1]:
        return
    if keys.interleave > 1:
        yield from _interleaved_pieces(keys, queries, visible, rows_per_call)
        return
    if keys.growing:
        yield from _growing_pieces(keys, queries, visible)
        return
    size, step = keys.block_size, keys.step
    block = (queries.first + keys.offset) // size
    last = -(-(queries.end + keys.offset) // size)
    limit = max(1, rows_per_call // size)
    while block < last:
        row, start = block * size - keys.offset, keys.start + block * step
        clean = row >= queries.first and start >= visible.first
        if clean:  # blocks whose queries and keys are all real
            by_rows = (queries.end - row) // size
            by_keys = (visible.end - start - keys.width) // step + 1 if step else last - block
            fits = visible.end - start >= keys.width
            count = min(by_rows, by_keys, last - block, limit) if fits else 0
            if count > 0:
                yield Piece(block, count, row, size, 0, start, keys.width, 0)
                block += count
                continue
        first_row, end_row = max(row, queries.first), min(row + size, queries.end)
        first_key, end_key = max(start, visible.first), min(start + keys.width, visible.end)
        if first_row < end_row and first_key < end_key:
            yield Piece(
                block,
                1,
                first_row,
                end_row - first_row,
                first_row - row,
                first_key,
                end_key - first_key,
                first_key - start,
            )
        block += 1


def _growing_pieces(keys: KeySet, queries: Span, visible: Span) -> Iterator[Piece]:
    """The same for windows that grow: each block is a piece of its own."""
    size = keys.block_size
    first_key = max(keys.start, visible.first)
    for block in range((queries.first + keys.offset) // size, -(-(queries.end + keys.offset) // size)):
        row = block * size - keys.offset
        first_row, end_row = max(row, queries.first), min(row + size, queries.end)
        end_key = min(keys.start + (keys.size or 0) + block * keys.step, visible.end)
        if first_row < end_row and first_key < end_key:
            place = (first_row, end_row - first_row, first_row - row, first_key, end_key - first_key)
            yield Piece(block, 1, *place, first_key - keys.start)


def _interleaved_pieces(keys: KeySet, queries: Span, visible: Span, rows_per_call: int) -> Iterator[Piece]:
    """The same for interleaved blocks: all of them advance together, a group of one query a block at a time."""
    apart = keys.interleave
    first_key, end_key = max(keys.start, visible.first), min(keys.start + keys.width, visible.end)
    window = (first_key, end_key - first_key, first_key - keys.start)
    row = queries.first if first_key < end_key else queries.end
    while row < queries.end:
        group, block = divmod(row, apart)
        whole = (queries.end - row) // apart
        if block or not whole:  # a group that the span cuts
            count = min(apart - block, queries.end - row)
            yield Piece(block, count, row, 1, group, *window)
            row += count
            continue
        # Long blocks suit the kernel best; few of them at a time keep the gradients of their keys small.
        rows = min(whole, max(1, rows_per_call // 4))
        blocks = max(1, rows_per_call // rows)
        for block in range(0, apart, blocks):
            yield Piece(block, min(blocks, apart - block), row + block, rows, group, *window)
        row += rows * apart


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


def query_blocks(tensor: Tensor, keys: KeySet, piece: Piece) -> Tensor:
    """View what belongs to the queries of a piece: ``(heads, length, dim)`` as ``(count, heads, rows, dim)``."""
    return strided_blocks(tensor, piece.row, piece.count, keys.row_step, piece.rows, keys.interleave)


def key_blocks(tensor: Tensor, keys: KeySet, piece: Piece) -> Tensor:
    """View what belongs to the keys of a piece: ``(heads, length, dim)`` as ``(count, heads, keys, dim)``."""
    return strided_blocks(tensor, piece.key, piece.count, keys.step, piece.keys)
