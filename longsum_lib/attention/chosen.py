"""Keys that every block of queries chooses for itself: copied piece by piece, since they lie nowhere side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from .key_sets import KeySet, Piece

# Queries whose chosen keys are copied at once: with three chosen blocks, 1,024 rows of 12 heads of 64 take 9 MiB for
# the keys and 9 MiB for the values, whatever the length of the document.
ROWS_PER_COPY = 1024


def _tokens(keys: KeySet, piece: Piece) -> tuple[Tensor, Tensor]:
    """Heads ``(1, heads, 1)`` and token numbers ``(count, heads, size)`` of the chosen keys of a piece.

    Numbers at or beyond the length belong to a last block that the sequence cuts.
    """
    blocks = keys.chosen[:, piece.block : piece.block + piece.count]  # (h|1, count, chosen)
    tokens = (blocks.unsqueeze(-1) * keys.block_size + torch.arange(keys.block_size, device=blocks.device)).flatten(2)
    heads = keys.key.shape[1]
    return torch.arange(heads, device=blocks.device).view(1, -1, 1), tokens.expand(heads, -1, -1).transpose(0, 1)


def chosen_blocks(tensor: Tensor, keys: KeySet, piece: Piece) -> Tensor:
    """Copy the chosen rows of ``(heads, length, dim)``: ``(count, heads, size, dim)``."""
    heads, tokens = _tokens(keys, piece)
    return tensor[heads, tokens.clamp_max(tensor.shape[1] - 1)]


def chosen_hidden(keys: KeySet, batch: int, piece: Piece) -> Tensor:
    """Additive scores ``(count, heads, 1, size)``: ``-inf`` for padding and behind the end of the sequence."""
    length = keys.key.shape[2]
    tokens = _tokens(keys, piece)[1]
    hidden = tokens >= length
    if keys.attend is not None:
        hidden = hidden | ~keys.attend[batch][tokens.clamp_max(length - 1)]
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf).unsqueeze(2)


def add_chosen(target: Tensor, part: Tensor, keys: KeySet, piece: Piece) -> None:
    """Add gradients of chosen keys ``(count, heads, size, dim)`` to ``(heads, length, dim)``."""
    heads, tokens = _tokens(keys, piece)
    # Rows behind the end carry gradients of exactly 0: their scores are -inf.
    target.index_put_((heads, tokens.clamp_max(target.shape[1] - 1)), part.to(target.dtype), accumulate=True)
