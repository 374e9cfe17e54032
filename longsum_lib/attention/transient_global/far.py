r"""Transient tokens that lie far away, in one plain call for a whole chunk of queries.

LongT5 sorts distances into buckets, and all far ones share the last bucket: from some distance on, the bias is one
number a head and direction. Added to every score of a key set, such a number moves the log-sum-exp by itself and leaves
the output as it is. So the kernel attends to far transient tokens without a bias, with all rows of the chunk in one
block, and :math:`\gamma` is added to the log-sum-exp. Exact; only the transient tokens nearby need a bias of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from longsum_lib.attention.engine.attend import block_attention_with_total, merge_partial
from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.key_sets import InterleavedKeySet, Keys, KeySet
from longsum_lib.upstream.torch import tracing

if TYPE_CHECKING:
    from longsum_lib.attention.transient_global.attention import SideKeys

# Far transient tokens below which two more calls cost more than they save.
WORTH_WHILE = 256


def saturation(bias: Tensor) -> int:
    """Return the distance in blocks from which on the biases of each direction stay the same, at least 1.

    Args:
        bias: ``(heads, 2 * n - 1)`` for the distances ``1 - n`` to ``n - 1``, in either order.

    Example:
        >>> saturation(torch.tensor([[9.0, 9.0, 5.0, 0.0, 3.0, 7.0, 7.0]]))
        2
    """
    middle = bias.shape[-1] // 2
    changes = [(half != half[:, -1:]).any(0).nonzero() for half in (bias[:, middle:], bias[:, : middle + 1].flip(-1))]
    return max([1, *(int(change[-1]) + 1 for change in changes if len(change))])


def near_span(side: SideKeys, first: int, rows: int, dropout: float) -> tuple[int, int] | None:
    """Which transient tokens need biases of their own; ``None`` where all are attended as ever.

    Args:
        side: the transient tokens.
        first: position of the first query.
        rows: number of queries.
        dropout: of the attention weights.

    Returns:
        First and end in the order of ``side``.
    """
    count, size = side.key.shape[2], side.block_size
    if dropout or torch.is_grad_enabled() or tracing() or side.key.shape[0] > 1 or side.ends[0] < first + rows:
        return None
    block, reach = first // size, fact("saturation", (side.bias,), lambda: saturation(side.bias))
    low, high = max(0, block - reach + 1), min(count, (first + rows - 1) // size + reach)
    span = (count - high, count - low)  # the order is reversed
    return span if count - (high - low) >= WORTH_WHILE else None


def attend_with_far(
    query: Tensor,
    near_sets: Sequence[Keys],
    side: SideKeys,
    span: tuple[int, int],
    first: int,
    scale: float,
    attend: Tensor | None,
) -> Tensor:
    """Attend from a chunk of queries to near keys, near transient tokens and far ones.

    Args:
        query: ``(1, heads, rows, head_dim)``.
        near_sets: the window.
        side: the transient tokens.
        span: of :func:`near_span`.
        first: position of the first query.
        scale: factor of the dot product.
        attend: ``(1, rows)`` bool, real queries.

    Returns:
        ``(1, heads, rows, head_dim)``.
    """
    rows, (begin, end) = query.shape[2], span
    block, groups = first // side.block_size, -(-rows // side.block_size)
    bias = side.bias[None, :, block + begin : block + begin + groups + (end - begin) - 1]
    key, value, exists = _part(side, begin, end)
    sets: list[Keys] = [*near_sets, InterleavedKeySet(key, value, groups, side.block_size, bias=bias, attend=exists)]
    out, total = block_attention_with_total(query, sets, scale=scale, attend=attend)
    for one, other, column in ((0, begin, 0), (end, side.key.shape[2], -1)):
        if other > one:
            key, value, exists = _part(side, one, other)
            far = [KeySet(key, value, rows, attend=exists)]
            part, part_total = block_attention_with_total(query, far, scale=scale, attend=attend)
            merge_partial(out, total, part, part_total + side.bias[:, column].to(part_total.dtype)[None, :, None])
    return out


def _part(side: SideKeys, begin: int, end: int) -> tuple[Tensor, Tensor, Tensor | None]:
    exists = None if side.attend is None else side.attend[:, begin:end]
    return side.key[:, :, begin:end], side.value[:, :, begin:end], exists
