"""PyTorch's memory-efficient CUDA kernel for the engine: fused on every card that torch is built for, T4 included.

FlashAttention's CUDA kernel takes no mask and needs Ampere. This one takes additive scores, reads keys and values
through strides, returns the log-sum-exp and has a backward pass that is given the merged one. What is written here has
not run on a GPU yet: its tests run on a pretended one, and plain products take over where the kernel refuses.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from longsum_lib.attention.engine.facts import fact_of_lasting
from longsum_lib.attention.engine.kernels.eager import Eager
from longsum_lib.upstream.torch import fused_attention

_Operator = Callable[..., Any]
_FORWARD: _Operator | None
_BACKWARD: _Operator | None
_FORWARD, _BACKWARD = fused_attention("cuda") or (None, None)

# The kernel reads rows of scores in steps of 16 bytes, and pads the log-sum-exp to whole tiles of queries.
ALIGNMENT = 8
TILE = 32
# One block of the kernel's grid a block of queries, and that axis of a grid ends here.
MOST_BLOCKS = 65_535

_Kind = tuple[torch.device, torch.dtype, int]
_REFUSED: set[_Kind] = set()
"""Devices, formats and head sizes with which the kernel failed once: plain products from then on."""


def _kind(query: Tensor) -> _Kind:
    return query.device, query.dtype, query.shape[-1]


def can_run(query: Tensor) -> bool:
    """Whether the kernel takes queries of this device, dtype and head size."""
    if _FORWARD is None or query.device.type != "cuda" or not torch.backends.cuda.mem_efficient_sdp_enabled():
        return False
    if _kind(query) in _REFUSED:
        return False
    if query.dtype == torch.bfloat16 and torch.cuda.get_device_capability(query.device) < (8, 0):
        return False
    return query.dtype in (torch.float32, torch.float16, torch.bfloat16) and query.shape[-1] % ALIGNMENT == 0


class FusedCUDA:
    """The kernel, see :class:`.base.Kernel`; where it fails at run time, it warns, and plain products take over."""

    makes_scores = False

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.eager = Eager(scale)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        may_be_empty: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """See :class:`.base.Kernel`."""
        if _kind(query) in _REFUSED:
            return self.eager.forward(query, key, value, mask, call, may_be_empty)
        if query.shape[0] > MOST_BLOCKS:
            runs = zip(_runs(query), _runs(key), _runs(value), _masks(mask, query), strict=True)
            parts = [self.forward(*run, call, may_be_empty) for run in runs]
            return torch.cat([out for out, _ in parts]), torch.cat([total for _, total in parts])
        assert _FORWARD is not None  # see `can_run`
        try:
            out, total, _, _ = _FORWARD(query, key, value, aligned(mask, query, key), True, scale=self.scale)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a layout or a card that it does not take
            _refuse(query, error)
            return self.eager.forward(query, key, value, mask, call, may_be_empty)
        total = total[..., : query.shape[2]]
        if mask is not None and may_be_empty:
            # What the kernel reports for a row without keys is not specified.
            empty = fact_of_lasting("empty", mask, lambda: (mask == -torch.inf).all(-1))
            total = total.masked_fill_(empty, -torch.inf)
            out = out.masked_fill_(empty.unsqueeze(-1), 0.0)
        return out, total

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
        """See :class:`.base.Kernel`."""
        if needs_bias or _kind(query) in _REFUSED:  # gradients of scores that blocks share are summed by the engine
            return self.eager.backward(grad, query, key, value, out, total, mask, call, needs_bias)
        if query.shape[0] > MOST_BLOCKS:
            asking = zip(_runs(grad), _runs(query), _runs(out), _runs(total), strict=True)
            asked = zip(_runs(key), _runs(value), _masks(mask, query), strict=True)
            parts = [
                self.backward(g, q, k, v, o, t, m, call, False)
                for (g, q, o, t), (k, v, m) in zip(asking, asked, strict=True)
            ]
            queries, keys, values, _ = zip(*parts, strict=True)
            return torch.cat(queries), torch.cat(keys), torch.cat(values), None
        seed = torch.zeros((), dtype=torch.int64, device=query.device)  # of the dropout, which there is none of
        given = (grad, query, key, value, aligned(mask, query, key), _rows_of_all_heads(out), _whole_tiles(total))
        assert _BACKWARD is not None  # see `can_run`
        try:
            grads = _BACKWARD(*given, seed, seed, 0.0, [True, True, True, False], scale=self.scale)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _refuse(query, error)
            return self.eager.backward(grad, query, key, value, out, total, mask, call, False)
        return grads[0], grads[1], grads[2], None


def _refuse(query: Tensor, error: RuntimeError) -> None:
    _REFUSED.add(_kind(query))
    warnings.warn(f"the fused CUDA kernel failed ({error}); going on with plain products", stacklevel=3)


def _rows_of_all_heads(out: Tensor) -> Tensor:
    """Lay an output out as the backward pass reads it, whatever its strides say: rows of all heads, one after another.

    In half precision the kernel takes ``heads * dim`` numbers for the way from a row to the next one.
    """
    _, heads, rows, dim = out.shape
    fits = out.stride(-1) == 1 and (rows == 1 or out.stride(2) == heads * dim)
    return out if fits else out.transpose(1, 2).contiguous().transpose(1, 2)


def _whole_tiles(total: Tensor) -> Tensor:
    """Fill a log-sum-exp up to whole tiles of rows, which lie side by side: the kernel reads it so."""
    # Padding by nothing would keep the strides.
    return torch.nn.functional.pad(total.contiguous(), (0, -total.shape[-1] % TILE), value=math.inf)


def _runs(blocks: Tensor) -> Iterator[Tensor]:
    """Cut ``(count, …)`` into runs that fit into a grid; views, no copies."""
    for start in range(0, blocks.shape[0], MOST_BLOCKS):
        yield blocks[start : start + MOST_BLOCKS]


def _masks(mask: Tensor | None, blocks: Tensor) -> Iterator[Tensor | None]:
    """Yield the mask of each of these runs."""
    if mask is None or mask.dim() < 4 or mask.shape[0] == 1:
        yield from (mask for _ in _runs(blocks))
    else:
        yield from _runs(mask)


def _laid_out(mask: Tensor, dtype: torch.dtype) -> Tensor:
    keys = mask.shape[-1]
    padded = torch.zeros((*mask.shape[:-1], keys + -keys % ALIGNMENT), dtype=dtype, device=mask.device)
    return padded[..., :keys].copy_(mask)


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
        given = mask
        mask = fact_of_lasting(("laid out", query.dtype), given, lambda: _laid_out(given, query.dtype))
    mask = mask.expand(shape)
    # A dimension of size 1 may have any stride; the kernel looks at it all the same.
    strides = [stride if size > 1 else 0 for stride, size in zip(mask.stride()[:-1], shape[:-1], strict=True)]
    return mask.as_strided(shape, (*strides, 1), mask.storage_offset())
