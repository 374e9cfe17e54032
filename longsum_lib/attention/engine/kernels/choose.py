"""Attention of one piece: a run of blocks against their windows, with the log-sum-exp of the scores.

Two kernels do the same. :class:`FusedCPU` calls PyTorch's fused CPU kernel, which never stores the scores.
:class:`Eager` is plain matrix products and softmax: it runs on any device and dtype, does dropout, and gives the
gradient of the bias.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from longsum_lib.upstream.torch import fused_attention

_FLASH, _FLASH_BACKWARD = fused_attention("cpu") or (None, None)


class Kernel(Protocol):
    """What the engine asks of a kernel.

    Shapes: ``query`` ``(count, heads, rows, dim)``, ``key`` and ``value`` ``(count, heads, keys, dim)``, ``mask``
    additive and broadcastable to ``(count, heads, rows, keys)``, log-sum-exps ``(count, heads, rows)`` in fp32.
    """

    makes_scores: bool
    """Whether ``forward`` and ``backward`` store the scores of the whole call."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        may_be_empty: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return the partial output and its log-sum-exp, ``-inf`` in rows that see no key.

        ``may_be_empty=False`` promises that the mask leaves a key to every row.
        """

    def backward(
        self,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        out: Tensor,
        total: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        needs_bias: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return the gradients of query, key, value and scores, given the *merged* output and log-sum-exp."""


class FusedCPU:
    """PyTorch's fused CPU kernel; it accepts overlapping views and broadcast masks without copying them."""

    makes_scores = False

    def __init__(self, scale: float):
        self.scale = scale
        self.eager = Eager(scale)

    def forward(self, query, key, value, mask, call, may_be_empty=True):
        """See :class:`Kernel`."""
        out, total = _FLASH(query, key, value, 0.0, False, attn_mask=_float_mask(mask, query), scale=self.scale)
        if mask is not None and may_be_empty:
            # The kernel reports 0, not -inf, for a row without keys: merged as it is, that row would count as exp(0).
            empty = (mask == -torch.inf).all(-1)
            if empty.any():
                total = total.masked_fill(empty, -torch.inf)
        return out, total

    def backward(self, grad, query, key, value, out, total, mask, call, needs_bias):
        """See :class:`Kernel`."""
        if needs_bias:  # the fused kernel keeps the gradient of the scores to itself
            return self.eager.backward(grad, query, key, value, out, total, mask, call, True)
        grads = _FLASH_BACKWARD(
            grad,
            query,
            key,
            value,
            out,
            total,
            0.0,
            False,
            attn_mask=_float_mask(mask, query),
            scale=self.scale,
        )
        return *grads, None


class Eager:
    """Plain matrix products; scores in fp32. Memory: the scores of one piece, ``count · heads · rows · keys``."""

    makes_scores = True

    def __init__(self, scale: float, dropout: float = 0.0, seed: int = 0):
        self.scale, self.dropout, self.seed = scale, dropout, seed

    def _scores(self, query, key, mask):
        work = torch.promote_types(query.dtype, torch.float32)
        # Scores of fp16 queries may leave the range of fp16 before they are scaled (T5's never are): shrink the query.
        shrink = 2.0**-6 if query.dtype == torch.float16 else 1.0
        query = query * shrink if shrink != 1.0 else query
        scores = (query @ key.transpose(-1, -2)).to(work) * (self.scale / shrink)
        return scores if mask is None else scores + mask

    def _kept(self, shape, call, device):
        """Dropout factors of a call, the same in forward and backward: 0 or ``1 / (1 - dropout)``."""
        generator = torch.Generator(device=device).manual_seed(self.seed + 1_000_003 * call[0] + call[1])
        kept = torch.rand(shape, device=device, generator=generator) >= self.dropout
        return kept.float() / (1.0 - self.dropout)

    def forward(self, query, key, value, mask, call, may_be_empty=True):
        """See :class:`Kernel`."""
        scores = self._scores(query, key, mask)
        total = scores.logsumexp(-1)
        weights = (scores - total.masked_fill(total == -torch.inf, 0.0).unsqueeze(-1)).exp()
        if self.dropout:
            weights = weights * self._kept(weights.shape, call, weights.device)
        return weights.to(value.dtype) @ value, total

    def backward(self, grad, query, key, value, out, total, mask, call, needs_bias):
        """See :class:`Kernel`."""
        scores = self._scores(query, key, mask)
        weights = (scores - total.unsqueeze(-1)).exp()
        work = weights.dtype
        grad, out = grad.to(work), out.to(work)
        grad_weights = grad @ value.to(work).transpose(-1, -2)
        dropped = weights
        if self.dropout:
            kept = self._kept(weights.shape, call, weights.device)
            grad_weights, dropped = grad_weights * kept, weights * kept
        grad_scores = weights * (grad_weights - (grad * out).sum(-1, keepdim=True))
        grad_query = self.scale * (grad_scores @ key.to(work))
        grad_key = self.scale * (grad_scores.transpose(-1, -2) @ query.to(work))
        grad_value = dropped.transpose(-1, -2) @ grad
        return grad_query, grad_key, grad_value, grad_scores if needs_bias else None


def _float_mask(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The kernel takes a mask of the query's dtype, or fp32 beside a half-precision query."""
    if mask is None or mask.dtype == query.dtype:
        return mask
    return mask.to(torch.promote_types(query.dtype, torch.float32))


def choose_kernel(query: Tensor, scale: float, dropout: float) -> Kernel:
    """Fused on CPU and CUDA, plain products elsewhere and where weights are dropped."""
    if not dropout and not math.isnan(scale):
        if query.device.type == "cpu" and _FLASH is not None:
            return FusedCPU(scale)
        if query.device.type == "cuda":
            from longsum_lib.attention.engine.kernels.fused_cuda import FusedCUDA, can_run

            if can_run(query):
                return FusedCUDA(scale)
    seed = int(torch.randint(0, 2**62, (), device="cpu")) if dropout else 0
    return Eager(scale, dropout, seed)
