"""Attention weights of the sliding window, in the layout of transformers' LED.

A path of its own for looking at weights: it stores ``length × (window + globals)`` numbers a head, never
``length²``, but the attention itself (:mod:`longsum_lib.attention.sliding_window.attention`) stores none at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from longsum_lib.attention.sliding_window.global_tokens import global_positions, real_globals


def sliding_window_weights(
    query: Tensor,
    key: Tensor,
    *,
    window: int,
    is_global: Tensor | None = None,
    padding: Tensor | None = None,
    scale: float | None = None,
    block_size: int = 128,
) -> Tensor:
    """Return what every query gives to the global tokens and to its window.

    Args:
        query: ``(batch, heads, length, head_dim)``.
        key: same shape.
        window: one-sided radius in tokens.
        is_global: ``(batch, length)`` bool.
        padding: ``(batch, length)`` bool, ``True`` for real tokens.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        block_size: queries handled at once.

    Returns:
        ``(batch, heads, length, globals + 2 * window + 1)``: first the global tokens in order (as many columns as
        the sequence with most of them has), then the window from left to right, the token itself in its middle.
        A global token inside the window is counted in its own column. Rows of global tokens and of padding are zeros.

    Cost:
        time and memory ``O(batch · heads · length · (window + globals))``.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    batch, _, length, _ = query.shape
    if is_global is None:
        is_global = torch.zeros(batch, length, dtype=torch.bool, device=query.device)
    padding = torch.ones_like(is_global) if padding is None else padding
    positions, exists = global_positions(real_globals(is_global, padding))
    rows = torch.arange(batch, device=query.device)[:, None]
    global_keys = key.transpose(1, 2)[rows, positions].transpose(1, 2)  # (b, h, globals, dim)
    visible = torch.nn.functional.pad(padding & ~is_global, (window, window))
    key = torch.nn.functional.pad(key, (0, 0, window, window))
    parts = []
    for first in range(0, length, block_size):
        end = min(first + block_size, length)
        block = query[:, :, first:end].float() * scale
        far = block @ global_keys.float().transpose(-1, -2)
        far = far.masked_fill(~exists[:, None, None, :], -torch.inf)
        near = block @ key[:, :, first : end + 2 * window].float().transpose(-1, -2)
        near = _diagonals(near, 2 * window + 1)
        seen = visible[:, first : end + 2 * window].unfold(1, 2 * window + 1, 1)  # (b, rows, band)
        near = near.masked_fill(~seen[:, None], -torch.inf)
        weights = torch.cat([far, near], dim=-1).softmax(-1).nan_to_num(0.0)
        silent = is_global[:, first:end] | ~padding[:, first:end]
        parts.append(weights.masked_fill(silent[:, None, :, None], 0.0).to(query.dtype))
    return torch.cat(parts, dim=2)


def _diagonals(scores: Tensor, width: int) -> Tensor:
    """Columns ``i`` to ``i + width`` of row ``i`` of ``(batch, heads, rows, rows + width - 1)``."""
    rows = scores.shape[2]
    column = torch.arange(rows, device=scores.device)[:, None] + torch.arange(width, device=scores.device)
    return scores.gather(3, column.expand(*scores.shape[:2], -1, -1))


def global_token_weights(
    query: Tensor,
    key: Tensor,
    is_global: Tensor,
    *,
    padding: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return what every global token gives to every token.

    Args:
        query: ``(batch, heads, length, head_dim)``, the global projection.
        key: same shape, the global projection.
        is_global: ``(batch, length)`` bool.
        padding: ``(batch, length)`` bool, ``True`` for real tokens.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.

    Returns:
        ``(batch, heads, length, globals)``; zeros for padding and in columns that a sequence does not have.

    Cost:
        time and memory ``O(batch · heads · length · globals)``.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if padding is not None:
        is_global = is_global & padding
    positions, exists = global_positions(is_global)
    rows = torch.arange(query.shape[0], device=query.device)[:, None]
    asking = query.transpose(1, 2)[rows, positions].transpose(1, 2)  # (b, h, globals, dim)
    scores = asking.float() @ key.float().transpose(-1, -2) * scale
    if padding is not None:
        scores = scores.masked_fill(~padding[:, None, None, :], -torch.inf)
    weights = scores.softmax(-1).nan_to_num(0.0).masked_fill(~exists[:, None, :, None], 0.0)
    return weights.to(query.dtype).transpose(-1, -2)
