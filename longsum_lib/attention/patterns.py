"""Who may attend to whom: each mechanism as a boolean matrix.

The matrices drive the dense oracle, the pictures and the explorers. They are ``length × length`` and made for
lengths that one can draw; the mechanisms themselves never make them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _positions(length: int) -> tuple[Tensor, Tensor]:
    if length < 0:
        raise ValueError(f"length is {length}, expected a number of tokens >= 0")
    positions = torch.arange(length)
    return positions[:, None], positions[None, :]


def full(length: int) -> Tensor:
    """Every query sees every key.

    Returns:
        ``(length, length)`` bool.

    Example:
        >>> full(2).tolist()
        [[True, True], [True, True]]
    """
    return torch.ones(length, length, dtype=torch.bool)


def window(length: int, window: int) -> Tensor:
    """Every query sees the keys at most ``window`` tokens away, itself included.

    Args:
        length: number of tokens.
        window: one-sided radius in tokens; the band is ``2 * window + 1`` wide.

    Returns:
        ``(length, length)`` bool.

    Example:
        >>> window(4, 1).int().tolist()
        [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    """
    if window < 0:
        raise ValueError(f"window is {window}, expected a one-sided radius >= 0")
    query, key = _positions(length)
    return (query - key).abs() <= window


def sliding_window(
    length: int, window: int, *, is_global: Tensor | None = None, padding: Tensor | None = None
) -> Tensor:
    """Sliding window and global tokens (Longformer, LED): a global token sees all and is seen by all.

    Args:
        length: number of tokens.
        window: one-sided radius in tokens.
        is_global: ``(length,)`` or ``(batch, length)`` bool, ``True`` for global tokens.
        padding: same shape, ``True`` for real tokens. Others neither see nor are seen.

    Returns:
        ``(length, length)`` bool, or ``(batch, length, length)`` where a mask has a batch dimension.

    Example:
        >>> sliding_window(4, 0, is_global=torch.tensor([True, False, False, False])).int().tolist()
        [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
    """
    query, key = _positions(length)
    if window < 0:
        raise ValueError(f"window is {window}, expected a one-sided radius >= 0")
    sees = (query - key).abs() <= window
    if is_global is not None:
        sees = sees | is_global[..., :, None] | is_global[..., None, :]
    if padding is not None:
        sees = sees & padding[..., :, None] & padding[..., None, :]
    return sees


def reach(layers: list[Tensor]) -> Tensor:
    """Which inputs can influence which outputs of a stack of layers.

    Args:
        layers: one ``(length, length)`` bool pattern a layer, first layer first.

    Returns:
        ``(length, length)`` bool: ``[i, j]`` is ``True`` if output ``i`` depends on input ``j``. Each layer also
        passes a token to itself, by its residual connection.

    Cost:
        time ``O(layers · length³)``: for drawing.

    Example:
        >>> reach([window(5, 1), window(5, 1)])[0].int().tolist()
        [1, 1, 1, 0, 0]
    """
    if not layers:
        raise ValueError("reach got no layers; give at least one (length, length) pattern")
    length = layers[0].shape[-1]
    reached = torch.eye(length, dtype=torch.bool)
    for sees in layers:
        step = (sees | torch.eye(length, dtype=torch.bool)).float()
        reached = step @ reached.float() > 0
    return reached
