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
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from longsum_lib.attention.engine.bias import add_bias_gradient, piece_bias
from longsum_lib.attention.engine.checks import check_key_sets
from longsum_lib.attention.engine.chosen import ROWS_PER_COPY, add_chosen, chosen_blocks
from longsum_lib.attention.engine.kernels.base import Kernel
from longsum_lib.attention.engine.kernels.choose import choose_kernel, plain_kernel
from longsum_lib.attention.engine.kernels.grouped import Grouped
from longsum_lib.attention.engine.key_sets import (
    ROWS_PER_CALL,
    Documents,
    KeySet,
    Piece,
    Span,
    key_blocks,
    pieces,
    query_blocks,
    real_spans,
    strided_blocks,
)
from longsum_lib.attention.engine.sinks import add_sinks, sinks_gradient
from longsum_lib.upstream.torch import check_transforms

# A kernel that stores scores is given so many of them at a time: 16 MiB stay near the processor's cache.
SCORES_PER_CALL = 2**22
SCORES_PER_CALL_ON_GPU = 2**26

# Overlapping windows of so many keys are worth a copy of the keys on the CPU; narrower ones gain less than it costs.
KEYS_TO_COPY = 1024


class _Spans(NamedTuple):
    """Where the real queries and, for each key set, the keys that may be seen lie: one span a sequence.

    Reading them makes the processor wait for the device, so it is done once a step: the backward pass has the same.
    """

    queries: list[Span]
    visible: list[list[Span]]

    @classmethod
    def of(cls, query: Tensor, sets: Sequence[KeySet], attend: Tensor | None) -> _Spans:
        batch, _, length, _ = query.shape
        visible = [_chosen_spans(s) or real_spans(s.attend, batch, s.key.shape[2]) for s in sets]
        return cls(real_spans(attend, batch, length), visible)


class _Plan:
    """The kernel calls of one attention: which rows, which keys, which mask."""

    def __init__(
        self, query: Tensor, sets: Sequence[KeySet], spans: _Spans, documents: Documents | None = None
    ) -> None:
        self.sets, self.documents = sets, documents
        self.heads, self.on_cpu = query.shape[1], query.device.type == "cpu"
        self.queries, self.visible = spans

    def calls(self, batch: int, makes_scores: Sequence[bool]) -> Iterator[tuple[int, Piece, bool]]:
        """Yield the set's index, the piece, and whether some keys in between may not be seen.

        Args:
            batch: index of the sequence.
            makes_scores: for each set, whether its kernel stores the scores: then fewer rows make a call.
        """
        if self.documents is None:
            yield from self._document_calls(batch, makes_scores, None)
            return
        for document in self.documents.spans[batch]:
            yield from self._document_calls(batch, makes_scores, document)

    def _document_calls(
        self, batch: int, makes_scores: Sequence[bool], document: tuple[int, int] | None
    ) -> Iterator[tuple[int, Piece, bool]]:
        for index, keys in enumerate(self.sets):
            visible, queries = self.visible[index][batch], self.queries[batch]
            if keys.asking is not None:
                queries = queries.cut(*keys.asking[batch])
            if document is not None and self.documents is not None:
                visible = visible.cut(*document)
                queries = queries.cut(*(edge - self.documents.offset for edge in document))
            rows = ROWS_PER_CALL if keys.chosen is None else ROWS_PER_COPY
            if makes_scores[index] or (visible.holes and keys.bias is not None):
                scores = SCORES_PER_CALL if self.on_cpu else SCORES_PER_CALL_ON_GPU
                rows = min(rows, scores // (self.heads * max(1, keys.width)))
            for piece in pieces(keys, queries, visible, rows):
                yield index, piece, visible.holes


def _chosen_spans(keys: KeySet) -> list[Span] | None:
    """Spans of a set of chosen keys: a window is never cut, what may not be seen is masked."""
    if keys.chosen is None:
        return None
    batch, length = keys.key.shape[0], keys.key.shape[2]
    holes = keys.attend is not None or length % keys.block_size > 0
    return [Span(0, keys.width, holes)] * batch


def _views(query: Tensor, key: Tensor, value: Tensor, keys: KeySet, piece: Piece) -> tuple[Tensor, Tensor, Tensor]:
    """Views of one sequence's ``(heads, length, dim)`` tensors: ``(count, heads, rows | keys, dim)``."""
    select = key_blocks if keys.chosen is None else chosen_blocks
    return query_blocks(query, keys, piece), select(key, keys, piece), select(value, keys, piece)


def merge_partial(out: Tensor, total: Tensor, part: Tensor, part_total: Tensor) -> None:
    r"""Merge a partial result into ``out`` ``(…, rows, dim)`` and its log-sum-exp ``total`` ``(…, rows)``, in place.

    The part's share is :math:`e^{\ell_2 - \ell} = \sigma(\ell_2 - \ell_1)`, so that one pass moves ``out`` towards it.
    """
    share = (part_total - total).sigmoid_().nan_to_num_(0.0)  # neither has seen a key: -inf minus -inf
    out.lerp_(part.to(out.dtype), share.unsqueeze(-1).to(out.dtype))
    torch.logaddexp(total, part_total, out=total)


def _forward(
    query: Tensor, plan: _Plan, kernel: Kernel, attend: Tensor | None, sinks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    batch, length = query.shape[0], query.shape[2]
    results = None
    makes_scores = [kernel.makes_scores] * len(plan.sets)
    for b in range(batch):
        for number, (index, piece, holes) in enumerate(plan.calls(b, makes_scores)):
            keys = plan.sets[index]
            views = _views(query[b], keys.key[b], keys.value[b], keys, piece)
            may_be_empty = holes or (keys.bias is not None and keys.bias.dim() == 5)
            part, part_total = kernel.forward(*views, piece_bias(keys, b, piece, holes), (b, number), may_be_empty)
            if results is None and batch == 1 and keys.interleave == 1 and piece.covers(length):
                results = _in_order(part), _in_order(part_total.unsqueeze(-1)).squeeze(-1)
                continue
            results = results or _no_results(query, plan)
            out, total = results
            rows = query_blocks(out[b], keys, piece)
            totals = query_blocks(total[b].unsqueeze(-1), keys, piece).squeeze(-1)
            if index == 0:
                rows.copy_(part)
                totals.copy_(part_total)
            else:
                merge_partial(rows, totals, part, part_total)
    out, total = results or _no_results(query, plan)
    if sinks is not None:
        add_sinks(out, total, sinks)
    for b in range(batch):
        if plan.queries[b].holes:
            out[b].masked_fill_(~attend[b, None, :, None], 0.0)
            total[b].masked_fill_(~attend[b], -torch.inf)
    return out, total


def _in_order(part: Tensor) -> Tensor:
    """View the fused kernel's results of all blocks, ``(count, heads, rows, dim)``, as ``(1, heads, length, dim)``."""
    return part.transpose(1, 2).flatten(0, 1).transpose(0, 1).unsqueeze(0)


def _no_results(query: Tensor, plan: _Plan) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of queries that have seen nothing yet."""
    batch, heads, length, _ = query.shape
    # Rows of all heads lie side by side in memory, so that the output projection reads them without a copy.
    out = query.new_zeros((batch, length, heads, plan.sets[0].value.shape[-1])).transpose(1, 2)
    work = torch.promote_types(query.dtype, torch.float32)
    return out, torch.full((batch, heads, length), -torch.inf, device=query.device, dtype=work)


def _as_projected(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Zeros that lie in memory as projections leave their results, which take such gradients without a copy."""
    return torch.zeros_like(tensor.transpose(1, 2), dtype=dtype, memory_format=torch.contiguous_format).transpose(1, 2)


def _add_windows(target: Tensor, part: Tensor, keys: KeySet, piece: Piece) -> None:
    """Add gradients of overlapping windows ``(count, heads, keys, dim)`` to ``(heads, length, dim)``."""
    if keys.chosen is not None:
        add_chosen(target, part, keys, piece)
        return
    if keys.step == 0 or piece.count == 1:
        target[:, piece.key : piece.key + piece.keys].add_(part.sum(0))
        return
    for first in range(0, piece.keys, keys.step):  # slices `step` wide do not overlap
        size = min(keys.step, piece.keys - first)
        view = strided_blocks(target, piece.key + first, piece.count, keys.step, size)
        view.add_(part[:, :, first : first + size])


def _backward(
    grad: Tensor, query: Tensor, out: Tensor, total: Tensor, plan: _Plan, kernel: Kernel, learned: list[bool]
):
    work = torch.promote_types(query.dtype, torch.float32)  # sums over windows are not rounded at every step
    grad_query = _as_projected(query, work)
    grad_sets = [[_as_projected(s.key, work), _as_projected(s.value, work)] for s in plan.sets]
    grad_bias = [
        torch.zeros_like(s.bias, dtype=work) if need else None for s, need in zip(plan.sets, learned, strict=True)
    ]
    total = total.masked_fill(total == -torch.inf, torch.inf)  # rows that see nothing: every probability is exp(-inf)
    makes_scores = [kernel.makes_scores or need for need in learned]
    for b in range(query.shape[0]):
        for number, (index, piece, holes) in enumerate(plan.calls(b, makes_scores)):
            keys = plan.sets[index]
            views = _views(query[b], keys.key[b], keys.value[b], keys, piece)
            grad_rows, out_rows, totals = (
                query_blocks(t, keys, piece) for t in (grad[b], out[b], total[b].unsqueeze(-1))
            )
            mask = piece_bias(keys, b, piece, holes)
            needs_bias = grad_bias[index] is not None
            part_query, part_key, part_value, part_bias = kernel.backward(
                grad_rows, *views, out_rows, totals.squeeze(-1), mask, (b, number), needs_bias
            )
            query_blocks(grad_query[b], keys, piece).add_(part_query)
            _add_windows(grad_sets[index][0][b], part_key, keys, piece)
            _add_windows(grad_sets[index][1][b], part_value, keys, piece)
            if needs_bias:
                add_bias_gradient(grad_bias[index], part_bias, b, piece)
            del part_query, part_key, part_value, part_bias  # else they live while the next call makes its own
    return grad_query, grad_sets, grad_bias


@dataclass(frozen=True)
class _How:
    """What an attention does besides its tensors.

    Attributes:
        geometry: the fields of each key set that are no tensors of its own.
        kernel: what computes a piece.
        spans: what is real of queries and keys.
        documents: packed documents of each sequence, see :func:`block_attention`.
    """

    geometry: list[dict[str, Any]]
    kernel: Kernel
    spans: _Spans
    documents: Documents | None

    def sets(self, tensors: Sequence[Tensor]) -> list[KeySet]:
        return [
            KeySet(tensors[4 * i], tensors[4 * i + 1], **shape, bias=tensors[4 * i + 2], attend=tensors[4 * i + 3])
            for i, shape in enumerate(self.geometry)
        ]


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(query, attend, sinks, how, *tensors):
        plan = _Plan(query, how.sets(tensors), how.spans, how.documents)
        return _forward(query, plan, how.kernel, attend, sinks)

    @staticmethod
    def setup_context(ctx, inputs, outputs):  # apart from `forward`, as `torch.func.grad` needs it
        query, _, sinks, ctx.how, *tensors = inputs
        out, total = outputs
        ctx.mark_non_differentiable(total)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(query, out, total, *tensors, sinks)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, _):
        if grad is None:
            return (None,) * len(ctx.needs_input_grad)
        query, out, total, *tensors, sinks = ctx.saved_tensors
        sets = ctx.how.sets(tensors)
        learned = [ctx.needs_input_grad[4 + 4 * i + 2] for i in range(len(sets))]
        plan, grad = _Plan(query, sets, ctx.how.spans, ctx.how.documents), _whole_rows(grad)
        grad_query, grad_sets, grad_bias = _backward(grad, query, out, total, plan, ctx.how.kernel, learned)
        grad_sinks = None if sinks is None else sinks_gradient(grad, out, total, sinks)
        grads: list[Tensor | None] = []
        for keys, (grad_key, grad_value), bias in zip(sets, grad_sets, grad_bias, strict=True):
            bias = bias.to(keys.bias.dtype) if bias is not None else None
            grads += [grad_key.to(keys.key.dtype), grad_value.to(keys.value.dtype), bias, None]
        return grad_query.to(query.dtype), None, grad_sinks, None, *grads


_GEOMETRY = ("block_size", "start", "step", "offset", "interleave", "asking", "chosen", "growing")


def block_attention(
    query: Tensor,
    key_sets: Sequence[KeySet],
    *,
    scale: float | None = None,
    attend: Tensor | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    documents: Documents | None = None,
) -> Tensor:
    """Attend from every query to the union of its block's key sets; a key that is in two of them counts twice.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16 (fp64 too).
        key_sets: one or more; each with its own block size. Their keys may have fewer heads than ``query``, a number
            that divides it: query head ``h`` reads key head ``h // (heads / key_heads)``, and nothing is repeated.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        attend: ``(batch, length)`` bool, ``True`` for real queries; the rows of others are zeros.
        dropout: probability of dropping an attention weight (only while training).
        softcap: bound ``c`` of the scaled scores: ``c · tanh(score / c)``, before the bias.
        sinks: ``(heads,)``, learned scores that take weight and give nothing.
        documents: packed documents: a query sees the keys of its own document only.

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
    check_key_sets(query, key_sets, attend)
    kernel = _kernel(query, key_sets, scale, dropout, softcap)
    geometry, tensors = [], []
    for keys in key_sets:
        size = keys.size if keys.growing else keys.width
        geometry.append({name: getattr(keys, name) for name in _GEOMETRY} | {"size": size})
        attend_keys = None if keys.attend is None else keys.attend.contiguous()
        tensors += [_side_by_side(keys.key, keys), _side_by_side(keys.value, keys), keys.bias, attend_keys]
    check_transforms()
    how = _How(geometry, kernel, _Spans.of(query, key_sets, attend), documents)
    return _BlockAttention.apply(_whole_rows(query), attend, sinks, how, *tensors)[0]


def _kernel(
    query: Tensor, key_sets: Sequence[KeySet], scale: float | None, dropout: float = 0.0, softcap: float | None = None
) -> Kernel:
    factor = _scale(query, scale)
    if softcap is None and all(keys.value.shape[-1] == query.shape[-1] for keys in key_sets):
        kernel = choose_kernel(query, factor, dropout)
    else:  # no fused kernel caps scores, or takes values that are not as wide as the keys
        kernel = plain_kernel(factor, dropout, softcap)
    return kernel if all(keys.key.shape[1] == query.shape[1] for keys in key_sets) else Grouped(kernel)


def block_attention_with_total(
    query: Tensor, key_sets: Sequence[KeySet], *, scale: float | None = None, attend: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The same without gradients and dropout, and the log-sum-exp of each row's scores.

    Returns:
        The output of :func:`block_attention`, and ``(batch, heads, length)`` in at least fp32, ``-inf`` in rows that
        see no key. :func:`merge_partial` joins what was computed over disjoint keys.
    """
    check_key_sets(query, key_sets, attend)
    query = _whole_rows(query)
    sets = [replace(keys, key=_whole_rows(keys.key), value=_whole_rows(keys.value)) for keys in key_sets]
    with torch.no_grad():
        plan = _Plan(query, sets, _Spans.of(query, sets, attend))
        return _forward(query, plan, _kernel(query, sets, scale), attend)


def _scale(query: Tensor, scale: float | None) -> float:
    return query.shape[-1] ** -0.5 if scale is None else float(scale)


def _whole_rows(tensor: Tensor) -> Tensor:
    """Copy where the numbers of a row do not lie side by side: the fused kernel silently reads them as if they did."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _side_by_side(tensor: Tensor, keys: KeySet) -> Tensor:
    """Copy keys or values to have a head's rows side by side, where wide windows read each of them often.

    Rows as far apart as a projection leaves them crowd each other out of the processor's cache.
    """
    often = 0 < 4 * keys.step <= keys.width and min(keys.width, tensor.shape[2]) >= KEYS_TO_COPY
    if often and tensor.stride(2) != tensor.shape[3] and tensor.device.type == "cpu" and tensor.dtype == torch.float32:
        return tensor.contiguous()
    return _whole_rows(tensor)
