"""Which queries see which keys, apart from the keys themselves: a small class for each way in which they lie.

A layout cuts what is to be computed into :class:`~.pieces.Piece` and shows what belongs to one. The engine asks it for
nothing else, so that a further way to lay keys out is a further class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from longsum_lib.attention.engine.pieces import (
    ROWS_PER_CALL,
    Piece,
    Span,
    blocks_of,
    cut_block,
    real_spans,
    strided_blocks,
)


class Layout(ABC):
    """Blocks of queries and the keys that each of them sees.

    Attributes:
        block_size: queries in a block.
        width: keys in a whole window; where windows grow, in the largest there can be.
        rows_per_call: most queries in a kernel call, unless a block has more; ``None`` = as many as suit the device.
    """

    block_size: int
    width: int
    rows_per_call: ClassVar[int | None] = None

    @abstractmethod
    def pieces(self, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
        """Cut the blocks that hold real queries into runs of equal shape; blocks at an edge become pieces of their own.

        Args:
            queries: span of the real queries.
            visible: span of the keys that may be seen.
            rows_per_call: most queries in a piece, but a block is never cut.

        Yields:
            The pieces, none of them empty: without keys torch's fused kernel ends the process (SIGFPE).
        """

    def query_blocks(self, tensor: Tensor, piece: Piece) -> Tensor:
        """View what belongs to the queries of a piece: ``(heads, length, dim)`` as ``(count, heads, rows, dim)``."""
        return strided_blocks(tensor, piece.row, piece.count, self.block_size, piece.rows)

    @abstractmethod
    def key_blocks(self, tensor: Tensor, piece: Piece) -> Tensor:
        """Show a piece's keys: ``(heads, length, dim)`` as ``(count, heads, keys, dim)``, a view where it can be."""

    @abstractmethod
    def add_key_blocks(self, target: Tensor, part: Tensor, piece: Piece) -> None:
        """Add gradients of a piece's keys ``(count, heads, keys, dim)`` to ``(heads, length, dim)``."""

    @abstractmethod
    def hidden_keys(self, attend: Tensor | None, piece: Piece) -> Tensor:
        """Additive scores of a piece's keys, ``-inf`` where one may not be seen: ``(count, heads | 1, 1, keys)``.

        Args:
            attend: ``(keys,)`` bool of one sequence, ``True`` where a key may be seen; ``None`` = everywhere.
            piece: which keys.
        """

    def visible(self, attend: Tensor | None, batch: int, keys: int) -> list[Span]:
        """Return the span of keys that may be seen, for each sequence of a batch; ``attend`` is ``(batch, keys)``."""
        return real_spans(attend, batch, keys)

    def covers(self, piece: Piece, length: int) -> bool:
        """Whether this one piece holds all ``length`` queries in their order."""
        return piece.covers(length)

    def times_read(self) -> int:
        """How many windows a key lies in, where they overlap; 1 where each key is read once a call."""
        return 1


class _Runs(Layout):
    """Layouts whose blocks each see a run of neighbouring keys, ``step`` keys after the run of the block before."""

    step: int

    def key_blocks(self, tensor: Tensor, piece: Piece) -> Tensor:
        return strided_blocks(tensor, piece.key, piece.count, self.step, piece.keys)

    def add_key_blocks(self, target: Tensor, part: Tensor, piece: Piece) -> None:
        if self.step == 0 or piece.count == 1:
            target[:, piece.key : piece.key + piece.keys].add_(part.sum(0))
            return
        for first in range(0, piece.keys, self.step):  # slices `step` wide do not overlap
            size = min(self.step, piece.keys - first)
            view = strided_blocks(target, piece.key + first, piece.count, self.step, size)
            view.add_(part[:, :, first : first + size])

    def hidden_keys(self, attend: Tensor | None, piece: Piece) -> Tensor:
        assert attend is not None  # without a mask there are no holes
        visible = strided_blocks(attend.view(1, -1, 1), piece.key, piece.count, self.step, piece.keys)
        visible = visible.squeeze(-1).unsqueeze(2)
        return torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, -torch.inf)

    def times_read(self) -> int:
        return self.width // self.step if self.step else 1


@dataclass(frozen=True)
class Windows(_Runs):
    """Block ``i`` sees the keys ``start + i * step`` to ``start + i * step + width``.

    Attributes:
        block_size: queries in a block.
        width: keys in a window.
        start: first key of block 0, may be negative.
        step: keys from one block's window to the next; 0 = every block sees the same keys.
        offset: how far block 0 begins before query 0.
    """

    block_size: int
    width: int
    start: int = 0
    step: int = 0
    offset: int = 0

    def pieces(self, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
        """See :class:`Layout`."""
        size, blocks = self.block_size, blocks_of(queries, self.block_size, self.offset)
        limit, block = max(1, rows_per_call // size), blocks.start
        while block < blocks.stop:
            row, start = block * size - self.offset, self.start + block * self.step
            count = 0
            if row >= queries.first and start >= visible.first and visible.end - start >= self.width:
                # so many blocks whose queries and keys are all real
                by_rows = (queries.end - row) // size
                more = (visible.end - start - self.width) // self.step if self.step else blocks.stop - block
                count = min(by_rows, more + 1, blocks.stop - block, limit)
            if count > 0:
                yield Piece(block, count, row, size, 0, start, self.width, 0)
                block += count
                continue
            yield from cut_block(block, queries, row, row + size, visible, start, start + self.width)
            block += 1


@dataclass(frozen=True)
class Growing(_Runs):
    """Block ``i`` sees the keys 0 to ``first + i * step``: windows keep their start and gain keys.

    Attributes:
        block_size: queries in a block.
        width: number of keys there are.
        first: keys that block 0 sees.
        step: keys that each further block gains.
    """

    block_size: int
    width: int
    first: int
    step: int

    def pieces(self, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
        """See :class:`Layout`; each block is a piece of its own."""
        for block in blocks_of(queries, self.block_size):
            row, end = block * self.block_size, self.first + block * self.step
            yield from cut_block(block, queries, row, row + self.block_size, visible, 0, end)


@dataclass(frozen=True)
class Interleaved(_Runs):
    """There are ``apart`` blocks; block ``i`` holds the queries ``i``, ``i + apart`` and so on.

    Attributes:
        block_size: queries in a block.
        width: keys; all blocks see the same.
        apart: queries from one of a block to its next, 2 at least.
    """

    block_size: int
    width: int
    apart: int
    step: int = field(default=0, init=False)

    def pieces(self, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
        """See :class:`Layout`; all blocks advance together, a group of one query a block at a time."""
        first_key, end_key = max(0, visible.first), min(self.width, visible.end)
        window = (first_key, end_key - first_key, first_key)
        row = queries.first if first_key < end_key else queries.end
        while row < queries.end:
            group, block = divmod(row, self.apart)
            whole = (queries.end - row) // self.apart
            if block or not whole:  # a group that the span cuts
                count = min(self.apart - block, queries.end - row)
                yield Piece(block, count, row, 1, group, *window)
                row += count
                continue
            # Long blocks suit the kernel best; few of them at a time keep the gradients of their keys small.
            rows = min(whole, max(1, rows_per_call // 4))
            blocks = max(1, rows_per_call // rows)
            for block in range(0, self.apart, blocks):
                yield Piece(block, min(blocks, self.apart - block), row + block, rows, group, *window)
            row += rows * self.apart

    def query_blocks(self, tensor: Tensor, piece: Piece) -> Tensor:
        """See :class:`Layout`."""
        return strided_blocks(tensor, piece.row, piece.count, 1, piece.rows, self.apart)

    def covers(self, piece: Piece, length: int) -> bool:
        """See :class:`Layout`: queries of a piece are never neighbours."""
        return False
