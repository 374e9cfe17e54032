r"""One engine for every mechanism: a block of queries attends to a union of key sets.

A mechanism describes its key sets as :class:`KeySet` and calls :func:`block_attention`. Each set is attended to by
itself, which gives a partial output and the log-sum-exp of its scores; partial results over disjoint sets merge
exactly:

.. math:: \ell = \log\left(e^{\ell_1} + e^{\ell_2}\right), \qquad o = e^{\ell_1 - \ell} o_1 + e^{\ell_2 - \ell} o_2 .

The neighbourhood of a block is an overlapping *view* of the keys, never a copy. Edges and padding shorten the view
of the few blocks that they touch, so that most blocks need no mask beyond their own band.

The merged output and the merged log-sum-exp are all that the backward pass of each part needs, so one
``autograd.Function`` gives exact gradients and stores nothing but its inputs, its output and one number a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .kernels import Kernel, choose_kernel

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
            ``-inf`` forbids a pair. It may be learned: it gets its gradient.
        attend: ``(batch, keys)`` bool, ``True`` where a key may be seen.
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

    @property
    def width(self) -> int:
        """Keys in a whole window."""
        return self.key.shape[2] if self.size is None else self.size


@dataclass(frozen=True)
class Span:
    """The real positions of one sequence: all lie in ``[first, end)``; ``holes`` if some in between are not real."""

    first: int
    end: int
    holes: bool


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


def pieces(keys: KeySet, queries: Span, visible: Span) -> Iterator[Piece]:
    """Cut the blocks that hold real queries into runs of equal shape; blocks at an edge become pieces of their own.

    Args:
        keys: the key set.
        queries: span of the real queries.
        visible: span of the keys that may be seen.
    """
    size, step = keys.block_size, keys.step
    block = (queries.first + keys.offset) // size
    last = -(-(queries.end + keys.offset) // size)
    limit = max(1, ROWS_PER_CALL // size)
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


def strided_blocks(tensor: Tensor, first: int, count: int, step: int, size: int) -> Tensor:
    """View rows of ``(heads, length, dim)`` as ``(count, heads, size, dim)`` blocks, ``step`` rows apart, no copy."""
    heads, rows, dim = tensor.stride()
    shape = (count, tensor.shape[0], size, tensor.shape[2])
    return tensor.as_strided(shape, (step * rows, heads, rows, dim), tensor.storage_offset() + first * rows)


def _piece_mask(keys: KeySet, batch: int, piece: Piece, holes: bool) -> Tensor | None:
    """Additive mask of a piece, broadcastable to ``(count, heads, rows, keys)``, or ``None`` if nothing is masked."""
    mask = None
    if keys.bias is not None:
        bias = keys.bias[batch if keys.bias.shape[0] > 1 else 0]  # (h|1, blocks|1, block|1, size)
        if bias.shape[1] > 1:
            bias = bias[:, piece.block : piece.block + piece.count]
        if bias.shape[2] > 1:
            bias = bias[:, :, piece.row_in_block : piece.row_in_block + piece.rows]
        mask = bias[..., piece.key_in_window : piece.key_in_window + piece.keys].transpose(0, 1)
    if holes:
        row = keys.attend[batch].view(1, -1, 1)
        visible = strided_blocks(row, piece.key, piece.count, keys.step, piece.keys).squeeze(-1).unsqueeze(2)
        hidden = torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, -torch.inf)
        mask = hidden if mask is None else mask + hidden
    return mask


class _Plan:
    """The kernel calls of one attention: which rows, which keys, which mask."""

    def __init__(self, query: Tensor, sets: Sequence[KeySet], attend: Tensor | None):
        batch, _, length, _ = query.shape
        self.sets = sets
        self.queries = real_spans(attend, batch, length)
        self.visible = [real_spans(s.attend, batch, s.key.shape[2]) for s in sets]

    def calls(self, batch: int) -> Iterator[tuple[int, Piece, bool]]:
        for index, keys in enumerate(self.sets):
            visible = self.visible[index][batch]
            for piece in pieces(keys, self.queries[batch], visible):
                yield index, piece, visible.holes


def _views(query: Tensor, key: Tensor, value: Tensor, keys: KeySet, piece: Piece) -> tuple[Tensor, Tensor, Tensor]:
    """Views of one sequence's ``(heads, length, dim)`` tensors: ``(count, heads, rows | keys, dim)``."""
    return (
        strided_blocks(query, piece.row, piece.count, keys.block_size, piece.rows),
        strided_blocks(key, piece.key, piece.count, keys.step, piece.keys),
        strided_blocks(value, piece.key, piece.count, keys.step, piece.keys),
    )


def _merge(out: Tensor, total: Tensor, part: Tensor, part_total: Tensor) -> None:
    """Merge a partial result into ``out`` ``(…, rows, dim)`` and its log-sum-exp ``total`` ``(…, rows)``, in place."""
    merged = torch.logaddexp(total, part_total)
    pivot = merged.masked_fill(merged == -torch.inf, 0.0)  # a row that has seen nothing yet keeps weight 0
    out.mul_((total - pivot).exp_().unsqueeze(-1)).addcmul_(
        part, (part_total - pivot).exp_().unsqueeze(-1).to(part.dtype)
    )
    total.copy_(merged)


def _forward(query: Tensor, plan: _Plan, kernel: Kernel, attend: Tensor | None) -> tuple[Tensor, Tensor]:
    batch, heads, length, _ = query.shape
    dim = plan.sets[0].value.shape[-1]
    # Rows of all heads lie side by side in memory, so that the output projection reads them without a copy.
    out = query.new_zeros((batch, length, heads, dim)).transpose(1, 2)
    work = torch.promote_types(query.dtype, torch.float32)
    total = torch.full((batch, heads, length), -torch.inf, device=query.device, dtype=work)
    for b in range(batch):
        for number, (index, piece, holes) in enumerate(plan.calls(b)):
            keys = plan.sets[index]
            views = _views(query[b], keys.key[b], keys.value[b], keys, piece)
            part, part_total = kernel.forward(*views, _piece_mask(keys, b, piece, holes), (b, number))
            rows = strided_blocks(out[b], piece.row, piece.count, keys.block_size, piece.rows)
            totals = strided_blocks(
                total[b].unsqueeze(-1), piece.row, piece.count, keys.block_size, piece.rows
            ).squeeze(-1)
            if index == 0:
                rows.copy_(part)
                totals.copy_(part_total)
            else:
                _merge(rows, totals, part, part_total)
        if plan.queries[b].holes:
            out[b].masked_fill_(~attend[b, None, :, None], 0.0)
            total[b].masked_fill_(~attend[b], -torch.inf)
    return out, total


def _add_windows(target: Tensor, part: Tensor, keys: KeySet, piece: Piece) -> None:
    """Add gradients of overlapping windows ``(count, heads, keys, dim)`` to ``(heads, length, dim)``."""
    if keys.step == 0 or piece.count == 1:
        target[:, piece.key : piece.key + piece.keys].add_(part.sum(0))
        return
    for first in range(0, piece.keys, keys.step):  # slices `step` wide do not overlap
        size = min(keys.step, piece.keys - first)
        view = strided_blocks(target, piece.key + first, piece.count, keys.step, size)
        view.add_(part[:, :, first : first + size])


def _add_bias_gradient(target: Tensor, part: Tensor, batch: int, piece: Piece) -> None:
    """Add gradients of the scores ``(count, heads, rows, keys)`` to the bias's own (broadcast) shape."""
    target = target[batch if target.shape[0] > 1 else 0]  # (h|1, blocks|1, block|1, size)
    part = part.transpose(0, 1)  # (h, count, rows, keys)
    window = [slice(None)] * 3 + [slice(piece.key_in_window, piece.key_in_window + piece.keys)]
    if target.shape[0] == 1:
        part = part.sum(0, keepdim=True)
    if target.shape[1] == 1:
        part = part.sum(1, keepdim=True)
    else:
        window[1] = slice(piece.block, piece.block + piece.count)
    if target.shape[2] == 1:
        part = part.sum(2, keepdim=True)
    else:
        window[2] = slice(piece.row_in_block, piece.row_in_block + piece.rows)
    target[tuple(window)].add_(part)


def _backward(
    grad: Tensor, query: Tensor, out: Tensor, total: Tensor, plan: _Plan, kernel: Kernel, learned: list[bool]
):
    work = torch.promote_types(query.dtype, torch.float32)  # sums over windows are not rounded at every step
    grad_query = torch.zeros_like(query, dtype=work)
    grad_sets = [[torch.zeros_like(s.key, dtype=work), torch.zeros_like(s.value, dtype=work)] for s in plan.sets]
    grad_bias = [
        torch.zeros_like(s.bias, dtype=work) if need else None for s, need in zip(plan.sets, learned, strict=True)
    ]
    total = total.masked_fill(total == -torch.inf, torch.inf)  # rows that see nothing: every probability is exp(-inf)
    for b in range(query.shape[0]):
        for number, (index, piece, holes) in enumerate(plan.calls(b)):
            keys = plan.sets[index]
            views = _views(query[b], keys.key[b], keys.value[b], keys, piece)
            grad_rows, out_rows, totals = (
                strided_blocks(t, piece.row, piece.count, keys.block_size, piece.rows)
                for t in (grad[b], out[b], total[b].unsqueeze(-1))
            )
            mask = _piece_mask(keys, b, piece, holes)
            needs_bias = grad_bias[index] is not None
            part_query, part_key, part_value, part_bias = kernel.backward(
                grad_rows, *views, out_rows, totals.squeeze(-1), mask, (b, number), needs_bias
            )
            strided_blocks(grad_query[b], piece.row, piece.count, keys.block_size, piece.rows).add_(part_query)
            _add_windows(grad_sets[index][0][b], part_key, keys, piece)
            _add_windows(grad_sets[index][1][b], part_value, keys, piece)
            if needs_bias:
                _add_bias_gradient(grad_bias[index], part_bias, b, piece)
    return grad_query, grad_sets, grad_bias


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, attend, geometry, kernel, *tensors):
        sets = _unpack(geometry, tensors)
        plan = _Plan(query, sets, attend)
        out, total = _forward(query, plan, kernel, attend)
        ctx.save_for_backward(query, attend, out, total, *tensors)
        ctx.geometry, ctx.kernel = geometry, kernel
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        query, attend, out, total, *tensors = ctx.saved_tensors
        sets = _unpack(ctx.geometry, tensors)
        learned = [ctx.needs_input_grad[4 + 4 * i + 2] for i in range(len(sets))]
        plan = _Plan(query, sets, attend)
        grad_query, grad_sets, grad_bias = _backward(grad, query, out, total, plan, ctx.kernel, learned)
        grads: list[Tensor | None] = []
        for keys, (grad_key, grad_value), bias in zip(sets, grad_sets, grad_bias, strict=True):
            bias = bias.to(keys.bias.dtype) if bias is not None else None
            grads += [grad_key.to(keys.key.dtype), grad_value.to(keys.value.dtype), bias, None]
        return grad_query.to(query.dtype), None, None, None, *grads


def _unpack(geometry, tensors) -> list[KeySet]:
    return [
        KeySet(tensors[4 * i], tensors[4 * i + 1], *shape, bias=tensors[4 * i + 2], attend=tensors[4 * i + 3])
        for i, shape in enumerate(geometry)
    ]


def block_attention(
    query: Tensor,
    key_sets: Sequence[KeySet],
    *,
    scale: float | None = None,
    attend: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attend from every query to the union of its block's key sets; the sets of one query must not share a key.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16 (fp64 too).
        key_sets: one or more; each with its own block size.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        attend: ``(batch, length)`` bool, ``True`` for real queries; the rows of others are zeros.
        dropout: probability of dropping an attention weight (only while training).

    Returns:
        ``(batch, heads, length, head_dim)`` in the dtype of ``query``; zeros in rows that see no key. In memory
        the heads of one position lie side by side.

    Raises:
        ValueError: if no key set is given, or shapes or devices disagree.

    Cost:
        time ``O(length · Σ size)``; extra memory: the output, one float a row and head, and a few MiB a call.

    Source:
        Merging by log-sum-exp: Milakov and Gimelshein 2018, FlashAttention, ring attention.
    """
    _check(query, key_sets, attend)
    scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
    kernel = choose_kernel(query, scale, dropout)
    geometry, tensors = [], []
    for keys in key_sets:
        geometry.append((keys.block_size, keys.width, keys.start, keys.step, keys.offset))
        attend_keys = None if keys.attend is None else keys.attend.contiguous()
        tensors += [keys.key, keys.value, keys.bias, attend_keys]
    return _BlockAttention.apply(query, attend, geometry, kernel, *tensors)


def _check(query: Tensor, key_sets: Sequence[KeySet], attend: Tensor | None) -> None:
    if not key_sets:
        raise ValueError("block_attention got no key set; give at least one KeySet")
    batch, heads, length, dim = query.shape
    if attend is not None and tuple(attend.shape) != (batch, length):
        raise ValueError(f"attend has shape {tuple(attend.shape)}, expected (batch, length) = {(batch, length)}")
    for keys in key_sets:
        expected = (batch, heads, keys.key.shape[2], dim)
        if tuple(keys.key.shape) != expected or tuple(keys.value.shape) != expected:
            raise ValueError(
                f"key and value have shapes {tuple(keys.key.shape)} and {tuple(keys.value.shape)}; "
                f"with a query of shape {tuple(query.shape)} both must be (batch, heads, keys, head_dim) = {expected}"
            )
        if keys.key.device != query.device:
            raise ValueError(f"query is on {query.device}, key on {keys.key.device}; move them to one device")
        if keys.block_size < 1 or keys.width < 0 or keys.step < 0:
            raise ValueError(
                f"block_size must be >= 1, size and step >= 0; got {keys.block_size}, {keys.width}, {keys.step}"
            )
        if keys.bias is not None and (keys.bias.dim() != 5 or keys.bias.shape[-1] != keys.width):
            raise ValueError(
                f"bias has shape {tuple(keys.bias.shape)}, expected 5 dimensions broadcastable to "
                f"(batch, heads, blocks, block_size, size), with size = {keys.width}"
            )
