"""Keys that every block of queries chooses for itself: copied piece by piece, since they lie nowhere side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from longsum_lib.attention.engine.key_sets import KeySet, Piece

# Queries whose chosen keys are copied at once: with three chosen blocks, 1,024 rows of 12 heads of 64 take 9 MiB for
# the keys and 9 MiB for the values, whatever the length of the document.
ROWS_PER_COPY = 1024


def _tokens(keys: KeySet, piece: Piece) -> Tensor:
    """Token numbers ``(count, heads, size)`` of the chosen keys of a piece.

    Numbers at or beyond the length belong to a last block that the sequence cuts.
    """
    blocks = keys.chosen[:, piece.block : piece.block + piece.count]  # (h|1, count, chosen)
    tokens = (blocks.unsqueeze(-1) * keys.block_size + torch.arange(keys.block_size, device=blocks.device)).flatten(2)
    return tokens.expand(keys.key.shape[1], -1, -1).transpose(0, 1)


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


def chosen_blocks(tensor: Tensor, keys: KeySet, piece: Piece) -> Tensor:
    """Copy the chosen rows of ``(heads, length, dim)``: ``(count, heads, size, dim)``."""
    rows, numbers = _rows(tensor if _has_rows(tensor) else tensor.contiguous(), _tokens(keys, piece))
    return rows.index_select(0, numbers.flatten()).view(*numbers.shape, -1)


def chosen_hidden(keys: KeySet, batch: int, piece: Piece) -> Tensor:
    """Additive scores ``(count, heads, 1, size)``: ``-inf`` for padding and behind the end of the sequence."""
    length = keys.key.shape[2]
    tokens = _tokens(keys, piece)
    hidden = tokens >= length
    if keys.attend is not None:
        hidden = hidden | ~keys.attend[batch][tokens.clamp_max(length - 1)]
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf).unsqueeze(2)


def add_chosen(target: Tensor, part: Tensor, keys: KeySet, piece: Piece) -> None:
    """Add gradients of chosen keys ``(count, heads, size, dim)`` to ``(heads, length, dim)``."""
    tokens = _tokens(keys, piece)
    # Rows behind the end carry gradients of exactly 0: their scores are -inf.
    if _has_rows(target):
        rows, numbers = _rows(target, tokens)
        rows.index_add_(0, numbers.flatten(), part.to(target.dtype).flatten(0, 2))
    else:
        head = torch.arange(target.shape[0], device=tokens.device).view(1, -1, 1)
        at = (head, tokens.clamp_max(target.shape[1] - 1))
        target.index_put_(at, part.to(target.dtype), accumulate=True)
