"""Keys that every block of queries chooses for itself: copied piece by piece, since they lie nowhere side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from longsum_lib.attention.engine.layouts import Layout, Windows
from longsum_lib.attention.engine.pieces import ROWS_PER_CALL, Piece, Span

# Queries whose chosen keys are copied at once: with three chosen blocks, 1,024 rows of 12 heads of 64 take 9 MiB for
# the keys and 9 MiB for the values, whatever the length of the document.
ROWS_PER_COPY = 1024


@dataclass(frozen=True)
class Chosen(Layout):
    """Block ``i`` of head ``h`` sees the blocks of keys ``table[h, i]``, each ``block_size`` long.

    Attributes:
        block_size: queries in a block, and keys in one.
        width: keys that a block sees: ``table.shape[-1] * block_size``.
        table: ``(heads | 1, blocks, count)`` int64.
        heads: number of heads of the keys.
        keys: number of keys, which may cut the last block.
    """

    block_size: int
    width: int
    table: Tensor
    heads: int
    keys: int
    rows_per_call: ClassVar[int | None] = ROWS_PER_COPY

    def pieces(self, queries: Span, visible: Span, rows_per_call: int = ROWS_PER_CALL) -> Iterator[Piece]:
        """See :class:`.layouts.Layout`: as if all blocks saw the same ``width`` keys."""
        return Windows(self.block_size, self.width).pieces(queries, visible, rows_per_call)

    def visible(self, attend: Tensor | None, batch: int, keys: int) -> list[Span]:
        """See :class:`.layouts.Layout`: a window is never cut, what may not be seen is masked."""
        return [Span(0, self.width, attend is not None or keys % self.block_size > 0)] * batch

    def key_blocks(self, tensor: Tensor, piece: Piece) -> Tensor:
        """Copy the chosen rows of ``(heads, length, dim)``: ``(count, heads, size, dim)``."""
        rows, numbers = _rows(tensor if _has_rows(tensor) else tensor.contiguous(), self._tokens(piece))
        return rows.index_select(0, numbers.flatten()).view(*numbers.shape, -1)

    def hidden_keys(self, attend: Tensor | None, piece: Piece) -> Tensor:
        """See :class:`.layouts.Layout`; what lies behind the end of the sequence is hidden too."""
        tokens = self._tokens(piece)
        hidden = tokens >= self.keys
        if attend is not None:
            hidden = hidden | ~attend[tokens.clamp_max(self.keys - 1)]
        return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf).unsqueeze(2)

    def add_key_blocks(self, target: Tensor, part: Tensor, piece: Piece) -> None:
        """See :class:`.layouts.Layout`."""
        tokens = self._tokens(piece)
        # Rows behind the end carry gradients of exactly 0: their scores are -inf.
        if _has_rows(target):
            rows, numbers = _rows(target, tokens)
            rows.index_add_(0, numbers.flatten(), part.to(target.dtype).flatten(0, 2))
        else:
            head = torch.arange(target.shape[0], device=tokens.device).view(1, -1, 1)
            at = (head, tokens.clamp_max(target.shape[1] - 1))
            target.index_put_(at, part.to(target.dtype), accumulate=True)

    def _tokens(self, piece: Piece) -> Tensor:
        """Token numbers ``(count, heads, size)`` of the chosen keys of a piece.

        Numbers at or beyond the length belong to a last block that the sequence cuts.
        """
        blocks = self.table[:, piece.block : piece.block + piece.count]  # (h|1, count, chosen)
        within = torch.arange(self.block_size, device=blocks.device)
        tokens = (blocks.unsqueeze(-1) * self.block_size + within).flatten(2)
        return tokens.expand(self.heads, -1, -1).transpose(0, 1)


def _rows(tensor: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """View ``(heads, length, dim)`` as ``(rows, dim)``, and number its rows: ``(count, heads, size)``.

    Whole rows are copied much faster by number than elements by head and token.
    """
    heads, length, dim = tensor.shape
    per_head, per_token, _ = tensor.stride()
    apart = max(1, min(per_head, per_token))
    head = torch.arange(heads, device=tokens.device).view(1, -1, 1)
    numbers = head * (per_head // apart) + tokens.clamp_max(length - 1) * (per_token // apart)
    rows = ((heads - 1) * per_head + (length - 1) * per_token) // apart + 1
    return tensor.as_strided((rows, dim), (apart, 1), tensor.storage_offset()), numbers


def _has_rows(tensor: Tensor) -> bool:
    """Whether rows of all heads lie a multiple of one distance apart, as they do in every usual layout."""
    per_head, per_token, one = tensor.stride()
    apart = min(per_head, per_token)
    return one == 1 and apart >= tensor.shape[2] and per_head % apart == 0 and per_token % apart == 0
