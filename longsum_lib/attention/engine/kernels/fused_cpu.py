"""PyTorch's fused CPU kernel, which never stores the scores."""

from __future__ import annotations

import torch
from torch import Tensor

from longsum_lib.attention.engine.kernels.eager import Eager
from longsum_lib.upstream.torch import fused_attention

_FLASH, _FLASH_BACKWARD = fused_attention("cpu") or (None, None)


def can_run(query: Tensor) -> bool:
    """Whether this torch has the kernel, and it takes queries of this device."""
    return _FLASH is not None and query.device.type == "cpu"


class FusedCPU:
    """PyTorch's fused CPU kernel; it accepts overlapping views and broadcast masks without copying them."""

    makes_scores = False

    def __init__(self, scale: float):
        self.scale = scale
        self.eager = Eager(scale)

    def forward(self, query, key, value, mask, call, may_be_empty=True):
        """See :class:`.base.Kernel`."""
        out, total = _FLASH(query, key, value, 0.0, False, attn_mask=_float_mask(mask, query), scale=self.scale)
        if mask is not None and may_be_empty:
            # The kernel reports 0, not -inf, for a row without keys: merged as it is, that row would count as exp(0).
            empty = (mask == -torch.inf).all(-1)
            if empty.any():
                total = total.masked_fill(empty, -torch.inf)
        return out, total

    def backward(self, grad, query, key, value, out, total, mask, call, needs_bias):
        """See :class:`.base.Kernel`."""
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


def _float_mask(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The kernel takes a mask of the query's dtype, or fp32 beside a half-precision query."""
    if mask is None or mask.dtype == query.dtype:
        return mask
    return mask.to(torch.promote_types(query.dtype, torch.float32))
