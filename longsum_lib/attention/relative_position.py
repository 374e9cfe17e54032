r"""Relative position biases of T5's family: one learned number for every head and bucket of distances.

The bias of a pair depends on nothing but the distance from query to key, so a matrix of biases is constant along its
diagonals. What is stored here is one number a head and *distance*; matrices are views of it, or as small as a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def relative_position_bucket(
    distance: Tensor, *, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
) -> Tensor:
    r"""Sort distances into buckets: small distances have one each, larger ones share buckets that grow.

    With :math:`n` buckets for a direction and :math:`e = n / 2`, a distance :math:`x < e` has bucket :math:`x`, larger
    ones have :math:`\min(n - 1,\ e + \lfloor (n - e) \ln(x / e) / \ln(m / e) \rfloor)`, :math:`m` = ``max_distance``.

    Args:
        distance: position of the key minus position of the query, in tokens; integers, any shape.
        bidirectional: encoders: half of the buckets are for keys after the query. Decoders (``False``): all buckets are
            for keys before it, and keys after it share bucket 0.
        num_buckets: number of buckets.
        max_distance: distances from here on share the last bucket.

    Returns:
        int64 of the same shape, from 0 to ``num_buckets - 1``.

    Raises:
        ValueError: if there are too few buckets, or ``max_distance`` lies inside the exact ones.

    Source:
        Raffel et al. 2020, section 2.1. The logarithm is taken in fp32, as in the reference: another precision would
        sort distances at a bucket's edge differently.

    Example:
        >>> relative_position_bucket(torch.tensor([-128, -8, -1, 0, 1, 8, 128])).tolist()
        [15, 8, 1, 0, 17, 24, 31]
        >>> relative_position_bucket(torch.tensor([-20, -1, 0, 3]), bidirectional=False).tolist()
        [17, 1, 0, 0]
    """
    buckets = num_buckets // 2 if bidirectional else num_buckets
    exact = buckets // 2
    if exact < 1 or max_distance <= exact:
        raise ValueError(
            f"num_buckets is {num_buckets} and max_distance {max_distance}; a direction needs at least 2 buckets and "
            f"max_distance must be more than half of them ({exact})"
        )
    far = distance.abs() if bidirectional else (-distance).clamp(min=0)
    logarithm = torch.log(far.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    coarse = exact + (logarithm * (buckets - exact)).long()
    bucket = torch.where(far < exact, far, coarse.clamp(max=buckets - 1)).long()
    return bucket + buckets * (distance > 0) if bidirectional else bucket


def distance_bias(table: Tensor, distance: Tensor, *, bidirectional: bool = True, max_distance: int = 128) -> Tensor:
    """Look up the biases of distances.

    Args:
        table: ``(num_buckets, heads)``, learned.
        distance: integers, any shape, key minus query in tokens.
        bidirectional: see :func:`relative_position_bucket`.
        max_distance: see :func:`relative_position_bucket`.

    Returns:
        ``(heads, *distance.shape)`` in at least fp32.

    Example:
        >>> table = torch.arange(32.0)[:, None]
        >>> distance_bias(table, torch.tensor([-1, 0, 1])).tolist()
        [[1.0, 0.0, 17.0]]
    """
    bucket = relative_position_bucket(
        distance, bidirectional=bidirectional, num_buckets=table.shape[0], max_distance=max_distance
    )
    return table.to(torch.promote_types(table.dtype, torch.float32))[bucket].movedim(-1, 0)


def distances(radius: int, device: torch.device | None = None) -> Tensor:
    """Return the distances ``-radius`` to ``radius``, ``(2 * radius + 1,)`` int64; none if ``radius`` is negative.

    Example:
        >>> distances(2).tolist()
        [-2, -1, 0, 1, 2]
    """
    return torch.arange(max(0, 2 * radius + 1), device=device) - radius


def band_bias(bias: Tensor, block_size: int) -> Tensor:
    """Lay the biases of a window out for one block of queries; outside the window the bias is ``-inf``.

    Args:
        bias: ``(heads, 2 * window + 1)`` for the distances ``-window`` to ``window``.
        block_size: queries in a block.

    Returns:
        ``(1, heads, 1, block_size, block_size + 2 * window)``: row ``r``, column ``c`` is the distance
        ``c - r - window``. All blocks share it.

    Cost:
        memory ``O(heads · block_size · (block_size + window))``, whatever the length of the document.

    Example:
        >>> band_bias(torch.tensor([[1.0, 2.0, 3.0]]), 2)[0, 0, 0].tolist()
        [[1.0, 2.0, 3.0, -inf], [-inf, 1.0, 2.0, 3.0]]
    """
    padded = F.pad(bias, (block_size - 1, block_size - 1), value=-torch.inf)
    rows = padded.unfold(-1, block_size + bias.shape[-1] - 1, 1)  # row i begins at i, but a later query looks back
    return rows.flip(1)[None, :, None]
