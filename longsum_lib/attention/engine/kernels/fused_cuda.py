"""PyTorch's memory-efficient CUDA kernel for the engine: fused on every card from Maxwell on, T4 included.

FlashAttention's CUDA kernel takes no mask and needs Ampere. This one takes additive scores, reads keys and values
through strides, returns the log-sum-exp and has a backward pass that is given the merged one. What is written here has
not run on a GPU yet: its tests on one are marked ``gpu``, and plain products take over where the kernel refuses.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from longsum_lib.attention.engine.kernels.eager import Eager
from longsum_lib.upstream.torch import fused_attention

_FORWARD, _BACKWARD = fused_attention("cuda") or (None, None)

# The kernel reads rows of scores in steps of 16 bytes, and pads the log-sum-exp to whole tiles of queries.
ALIGNMENT = 8
TILE = 32
# One block of the kernel's grid a block of queries, and that axis of a grid ends here.
MOST_BLOCKS = 65_535


def can_run(query: Tensor) -> bool:
    """Whether the kernel takes queries of this device, dtype and head size."""
    if _FORWARD is None or query.device.type != "cuda" or not torch.backends.cuda.mem_efficient_sdp_enabled():
        return False
    if query.dtype == torch.bfloat16 and torch.cuda.get_device_capability(query.device) < (8, 0):
        return False
    return query.dtype in (torch.float32, torch.float16, torch.bfloat16) and query.shape[-1] % ALIGNMENT == 0


class FusedCUDA:
    """The kernel, see :class:`.base.Kernel`; where it fails at run time, plain products from then on."""

    makes_scores = False

    def __init__(self, scale: float):
        self.scale = scale
        self.eager = Eager(scale)
        self._failed = False

    def forward(self, query, key, value, mask, call, may_be_empty=True):
        """See :class:`.base.Kernel`."""
        if self._failed:
            return self.eager.forward(query, key, value, mask, call, may_be_empty)
        if query.shape[0] > MOST_BLOCKS:
            parts = [
                self.forward(q, k, v, m, call, may_be_empty) for (q, k, v), m in _pieces((query, key, value), mask)
            ]
            return torch.cat([out for out, _ in parts]), torch.cat([total for _, total in parts])
        try:
            out, total, _, _ = _FORWARD(query, key, value, aligned(mask, query, key), True, scale=self.scale)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a layout or a card that it does not take
            warnings.warn(f"the fused CUDA kernel failed ({error}); going on with plain products", stacklevel=2)
            self._failed = True
            return self.eager.forward(query, key, value, mask, call, may_be_empty)
        total = total[..., : query.shape[2]]
        if mask is not None and may_be_empty:
            # What the kernel reports for a row without keys is not specified.
            empty = (mask == -torch.inf).all(-1)
            total = total.masked_fill(empty, -torch.inf)
            out = out.masked_fill(empty.unsqueeze(-1), 0.0)
        return out, total

    def backward(self, grad, query, key, value, out, total, mask, call, needs_bias):
        """See :class:`.base.Kernel`."""
        if needs_bias or self._failed:  # the gradient of scores that all blocks share is summed by the engine
            return self.eager.backward(grad, query, key, value, out, total, mask, call, needs_bias)
        if query.shape[0] > MOST_BLOCKS:
            pieces = _pieces((grad, query, key, value, out, total), mask)
            parts = [self.backward(*tensors, m, call, False)[:3] for tensors, m in pieces]
            return *(torch.cat(grads) for grads in zip(*parts, strict=True)), None
        rows = total.shape[-1]
        total = torch.nn.functional.pad(total, (0, -rows % TILE), value=math.inf)
        seed = torch.zeros((), dtype=torch.int64, device=query.device)  # of the dropout, which there is none of
        grads = _BACKWARD(
            grad,
            query,
            key,
            value,
            aligned(mask, query, key),
            out,
            total,
            seed,
            seed,
            0.0,
            [True, True, True, False],
            scale=self.scale,
        )
        return *grads[:3], None


def _pieces(tensors: tuple[Tensor, ...], mask: Tensor | None) -> Iterator[tuple[tuple[Tensor, ...], Tensor | None]]:
    """Cut blocks of queries and what belongs to them into runs that fit into a grid; views, no copies."""
    for start in range(0, tensors[0].shape[0], MOST_BLOCKS):
        run = slice(start, start + MOST_BLOCKS)
        shared = mask is None or mask.dim() < 4 or mask.shape[0] == 1
        yield tuple(tensor[run] for tensor in tensors), mask if shared else mask[run]


def aligned(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """Scores as the kernel takes them: the query's dtype, expanded, each row at a multiple of 16 bytes.

    Args:
        mask: broadcastable to ``(count, heads, rows, keys)``; a diagonal view, say, is laid out once a head.
        query: ``(count, heads, rows, dim)``.
        key: ``(count, heads, keys, dim)``.
    """
    if mask is None:
        return None
    keys = key.shape[2]
    shape = (query.shape[0], query.shape[1], query.shape[2], keys)
    mask = mask.expand(*mask.shape[:-1], keys)
    strides = [stride for stride, size in zip(mask.stride()[:-1], mask.shape[:-1], strict=True) if size > 1]
    fits = mask.stride(-1) == 1 and mask.storage_offset() % ALIGNMENT == 0
    if mask.dtype != query.dtype or not fits or any(stride % ALIGNMENT for stride in strides):
        padded = torch.zeros((*mask.shape[:-1], keys + -keys % ALIGNMENT), dtype=query.dtype, device=query.device)
        mask = padded[..., :keys].copy_(mask)
    mask = mask.expand(shape)
    # A dimension of size 1 may have any stride; the kernel looks at it all the same.
    strides = [stride if size > 1 else 0 for stride, size in zip(mask.stride()[:-1], shape[:-1], strict=True)]
    return mask.as_strided(shape, (*strides, 1), mask.storage_offset())
