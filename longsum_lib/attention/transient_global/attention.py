"""Local and transient-global attention: the encoders of LongT5."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longsum_lib.attention import patterns
from longsum_lib.attention.arguments import (
    check_backend,
    check_mask,
    check_number,
    check_shape,
    check_shapes,
    check_tensors,
    scale_of,
)
from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.band import block_size_for
from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.key_sets import InterleavedKeySet, Keys, KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.reference import dense_attention
from longsum_lib.attention.relative_position import band_bias
from longsum_lib.attention.transient_global.far import attend_with_far, near_span
from longsum_lib.attention.transient_global.sums import complete_blocks, transient_sums
from longsum_lib.upstream.torch import tracing

__all__ = ["complete_blocks", "transient_global_attention", "transient_sums"]

# Queries of the few tokens behind the last complete block (all tokens, with much padding on the left) in one block.
TAIL_BLOCK = 256


def transient_global_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: int,
    side_key: Tensor | None = None,
    side_value: Tensor | None = None,
    block_size: int = 16,
    local_bias: Tensor | None = None,
    side_bias: Tensor | None = None,
    padding: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    r"""Attend to a window and to one transient token for every block of the document, in one softmax.

    With :math:`b_i` the block of token :math:`i` and :math:`n` transient tokens :math:`(\bar k_s, \bar v_s)`,

    .. math:: a_{ij} = q_i \cdot k_j + \beta_{j - i} \quad (|j - i| \le w), \qquad
              \bar a_{is} = q_i \cdot \bar k_s + \gamma_{s - b_i} \quad (s < n) .

    Blocks are counted from position 0, padding included. Tokens behind the last complete block count as members of
    the last block that exists, so that there are as many transient tokens as block ends that are real tokens. Without
    ``side_key`` this is LongT5's local attention.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16.
        key: same shape.
        value: same shape.
        window: one-sided radius in tokens; the band is ``2 * window + 1`` wide.
        side_key: keys of the transient tokens, ``(batch, heads, length // block_size, head_dim)``, made of
            :func:`transient_sums`.
        side_value: their values, same shape.
        block_size: tokens that one transient token stands for.
        local_bias: ``(heads, 2 * window + 1)`` for the distances ``-window`` to ``window``; ``None`` = 0.
        side_bias: ``(heads, 2 * n - 1)`` for the distances ``1 - n`` to ``n - 1`` in blocks; ``None`` = 0.
        padding: ``(batch, length)`` bool, ``True`` for real tokens, wherever they stand.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``. LongT5 has 1.
        dropout: probability of dropping an attention weight.
        backend: ``"reference"`` (dense oracle), ``"blocked"`` (any device) or ``"auto"``.

    Returns:
        ``(batch, heads, length, head_dim)`` in the dtype of ``query``; zeros in the rows of padding.

    Raises:
        ValueError: if shapes disagree, ``window < 0``, or the backend is unknown or cannot do what is asked.

    Cost:
        time ``O(length · (window + length / block_size))``; extra memory: the output, biases of
        ``O(heads · (window + length / block_size))`` and one kernel call. The biases of the pairs of a token and a
        transient token are never made: the tokens at the same place of their blocks are attended together, and
        the matrix of their biases is constant along its diagonals.

    Source:
        Guo et al. 2022, section 3. The reference gives padding an average of what is masked; here its rows are zeros.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 100, 8)
        >>> side = torch.randn(2, 1, 2, 6, 8)
        >>> transient_global_attention(q, k, v, window=4, side_key=side[0], side_value=side[1]).shape
        torch.Size([1, 2, 100, 8])
    """
    optional = {"side_key": side_key, "side_value": side_value}
    check_tensors(dropout, padding=padding, query=query, key=key, value=value, optional=optional)
    check_shapes(query, key, value)
    check_number("window", window, 0, note=": a one-sided radius in tokens")
    check_number("block_size", block_size, 1)
    _check_sides(query, window, block_size, side_key, side_value, local_bias, side_bias)
    check_mask("padding", padding, query.shape[0], query.shape[2])
    check_backend(backend, dropout)
    scale = scale_of(query, scale)
    sides = (side_key, side_value, local_bias, side_bias)
    if backend == "reference":
        return _reference(query, key, value, *sides, padding, window, block_size, scale)
    if tracing() and not dropout:
        return _transient_global_operator(query, key, value, *sides, padding, window, block_size, scale)
    return _blocked(query, key, value, *sides, padding, window, block_size, scale, dropout)


def _blocked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    side_key: Tensor | None,
    side_value: Tensor | None,
    local_bias: Tensor | None,
    side_bias: Tensor | None,
    padding: Tensor | None,
    window: int,
    block_size: int,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    side = None
    if side_key is not None and side_value is not None:
        side = SideKeys.of(side_key, side_value, side_bias, padding, query.shape[2], block_size)
    return rows_near(query, key, value, side, local_bias, padding, window, scale, dropout)


def rows_near(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    side: SideKeys | None,
    local_bias: Tensor | None,
    padding: Tensor | None,
    window: int,
    scale: float,
    dropout: float = 0.0,
    first: int = 0,
    before: int = 0,
) -> Tensor:
    """Attend from a run of queries to their windows and to the transient tokens.

    Args:
        query: ``(batch, heads, rows, head_dim)``, the queries from position ``first`` on.
        key: ``(batch, heads, keys, head_dim)``, the keys around them, ``before`` of which stand before ``first``.
        value: same shape as ``key``.
        side: the transient tokens, if any.
        local_bias: ``(heads, 2 * window + 1)`` or ``None``.
        padding: ``(batch, keys)`` bool, ``True`` for real tokens.
        window: one-sided radius in tokens.
        scale: factor of the dot product.
        dropout: probability of dropping an attention weight.
        first: position of the first query; a multiple of the transient tokens' block size.
        before: keys before the first query.

    Returns:
        ``(batch, heads, rows, head_dim)``.
    """
    size, rows = block_size_for(window), query.shape[2]
    if local_bias is None:
        local_bias = torch.zeros(1, 2 * window + 1, device=query.device)
    bias = local_bias
    # One tensor for all layers, which have the same biases; where gradients are recorded, each its own.
    if torch.is_grad_enabled():
        band = band_bias(bias, size)
    else:
        band = fact(("band of biases", size), (bias,), lambda: band_bias(bias, size))
    near = KeySet(key, value, size, size + 2 * window, before - window, step=size, bias=band, attend=padding)
    sets: list[Keys] = [near]
    real = None if padding is None else padding[:, before : before + rows]
    if side is not None and side.key.shape[2]:
        span = near_span(side, first, rows, dropout)
        if span is not None:
            return attend_with_far(query, sets, side, span, first, scale, real)
        sets += side.as_key_sets(first, rows)
    return block_attention(query, sets, scale=scale, attend=real, dropout=dropout)


def _existing(padding: Tensor, count: int, block_size: int) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return ``blocks``, ``attend`` and ``ends`` of :class:`SideKeys`."""
    blocks = complete_blocks(padding, block_size)
    attend = torch.arange(count, device=padding.device) >= count - blocks[:, None]
    return blocks, attend, tuple((blocks * block_size).tolist())


@dataclass(frozen=True)
class SideKeys:
    """The transient tokens as queries see them; made once, then used by every run of queries.

    The bias of a token of block ``r`` is that of the distance ``s - r``. With the transient tokens in reverse order,
    ``s = n - 1 - c``, it depends on ``r + c``, which the engine reads from one row of ``2 * n - 1`` numbers a head.

    Attributes:
        key: ``(batch, heads, n, head_dim)``, in reverse order.
        value: same shape.
        bias: ``(heads | 1, 2 * n - 1)``, in reverse order.
        attend: ``(batch, n)`` bool, ``True`` for those that exist; ``None`` = all.
        blocks: ``(batch | 1,)`` int64, how many exist.
        ends: the end of the last complete block of each sequence; tokens from there on are of that block.
        block_size: tokens that one of them stands for.
    """

    key: Tensor
    value: Tensor
    bias: Tensor
    attend: Tensor | None
    blocks: Tensor
    ends: tuple[int, ...]
    block_size: int

    @classmethod
    def of(
        cls, key: Tensor, value: Tensor, bias: Tensor | None, padding: Tensor | None, length: int, block_size: int
    ) -> SideKeys:
        """Prepare transient tokens ``(batch, heads, n, dim)`` in the order of the text, and the biases of distances."""
        batch, _, count, _ = key.shape
        if bias is None:
            bias = torch.zeros(1, max(0, 2 * count - 1), device=key.device)
        if padding is None:
            blocks, attend = torch.full((1,), count, device=key.device), None
            ends = (count * block_size,) * batch
        else:
            asked = ("transient tokens", count, block_size)
            blocks, attend, ends = fact(asked, (padding,), lambda: _existing(padding, count, block_size))
        key, value = (tensor.flip(2).contiguous() for tensor in (key, value))  # every group of queries reads them all
        biases = bias.flip(-1) if torch.is_grad_enabled() else fact("reversed", (bias,), lambda: bias.flip(-1))
        return cls(key, value, biases, attend, blocks, ends, block_size)

    def as_key_sets(self, first: int, rows: int) -> list[Keys]:
        """Key sets of ``rows`` queries from position ``first`` on: for tokens inside blocks, and for those behind."""
        count, size = self.key.shape[2], self.block_size
        ends = [min(max(end - first, 0), rows) for end in self.ends]
        block, groups = first // size, -(-max(ends) // size)
        sets: list[Keys] = []
        if groups:
            bias = self.bias[None, :, block : block + groups + count - 1]
            asking = tuple((0, end) for end in ends)
            key_set = InterleavedKeySet(self.key, self.value, groups, size, bias, attend=self.attend, asking=asking)
            sets.append(key_set)
        if any(end < rows for end in ends):  # all of these tokens are of the last block
            last = (self.blocks[:, None] - 1).clamp(min=0) + torch.arange(count, device=self.key.device)  # (b | 1, n)
            constant = self.bias[:, last].transpose(0, 1)[:, :, None, None]  # (b | 1, h, 1, 1, n)
            asking = tuple((end, rows) for end in ends)
            sets.append(KeySet(self.key, self.value, TAIL_BLOCK, bias=constant, attend=self.attend, asking=asking))
        return sets


def _reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    side_key: Tensor | None,
    side_value: Tensor | None,
    local_bias: Tensor | None,
    side_bias: Tensor | None,
    padding: Tensor | None,
    window: int,
    block_size: int,
    scale: float,
) -> Tensor:
    batch, heads, length, _ = query.shape
    device = query.device
    position = torch.arange(length, device=device)
    real = None if padding is None else padding.cpu()
    if side_key is None or side_value is None:
        sees = patterns.sliding_window(length, window, padding=real)
        side_key, side_value = key[:, :, :0], value[:, :, :0]
    else:
        sees = patterns.transient_global(length, window, block_size, padding=real)
    count = side_key.shape[2]
    if local_bias is None:
        local_bias = torch.zeros(1, 2 * window + 1, device=device)
    if side_bias is None:
        side_bias = torch.zeros(1, max(0, 2 * count - 1), device=device)
    near = local_bias[:, (position - position[:, None]).clamp(-window, window) + window].expand(batch, heads, -1, -1)
    block = patterns.block_ids(length, block_size, padding=real).to(device).expand(batch, length)
    far = torch.arange(count, device=device) - block.clamp(min=0)[..., None] + count - 1  # (b, length, n)
    bias = torch.cat([near, side_bias[:, far].transpose(0, 1).expand(-1, heads, -1, -1)], dim=-1)
    keys, values = torch.cat([key, side_key], 2), torch.cat([value, side_value], 2)
    attend = sees.to(device).view(-1, 1, length, length + count)
    return dense_attention(query, keys, values, attend=attend, bias=bias, scale=scale)


@opaque("transient_global")
def _transient_global_operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    side_key: Tensor | None,
    side_value: Tensor | None,
    local_bias: Tensor | None,
    side_bias: Tensor | None,
    padding: Tensor | None,
    window: int,
    block_size: int,
    scale: float,
) -> Tensor:
    return _blocked(query, key, value, side_key, side_value, local_bias, side_bias, padding, window, block_size, scale)


def _check_sides(
    query: Tensor,
    window: int,
    block_size: int,
    side_key: Tensor | None,
    side_value: Tensor | None,
    local_bias: Tensor | None,
    side_bias: Tensor | None,
) -> None:
    batch, heads, length, dim = query.shape
    if (side_key is None) != (side_value is None):
        raise ValueError("side_key and side_value go together; give both or neither")
    count = length // block_size
    for name, tensor in (("side_key", side_key), ("side_value", side_value)):
        check_shape(name, tensor, (batch, heads, count, dim))
    for name, tensor, size in (("local_bias", local_bias, 2 * window + 1), ("side_bias", side_bias, 2 * count - 1)):
        check_shape(name, tensor, (1, max(0, size)), (heads, max(0, size)))
