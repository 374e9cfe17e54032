"""Kernels that a CPU does not have, by plain products, with the conditions that the real ones set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TILE = 32
GRID = 65_535


class RefusedError(RuntimeError):
    """A condition of the real kernel that was not met."""


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise RefusedError(f"the memory-efficient kernel: {what}")


def check_operands(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> None:
    """See that the memory-efficient CUDA kernel would take these tensors, and take them by its fast loads.

    Raises:
        RefusedError: it would not.
    """
    step = 16 // query.element_size()
    for name, one in (("query", query), ("key", key), ("value", value)):
        _expect(one.dim() == 4, f"{name} has {one.dim()} dimensions")
        _expect(one.dtype == query.dtype, f"{name} has another format than query")
        _expect(one.stride(-1) == 1, f"the numbers of a row of {name} lie {one.stride(-1)} apart")
        _expect(one.shape[-1] % step == 0, f"rows of {name} have {one.shape[-1]} numbers, no multiple of {step}")
        # The address itself says nothing here: the CPU's allocator aligns to 64 bytes, CUDA's to 512.
        _expect(
            one.storage_offset() % step == 0, f"{name} begins at number {one.storage_offset()}, no multiple of {step}"
        )
        odd = [s for s, n in zip(one.stride()[:-1], one.shape[:-1], strict=True) if n > 1 and s % step]
        _expect(not odd, f"{name} has strides {one.stride()}, which are no multiples of {step}")
    _expect(query.shape[0] <= GRID and query.shape[1] <= GRID, f"{query.shape[0]} blocks are more than a grid has")
    _expect(key.shape[0] == query.shape[0] and key.shape[1] == query.shape[1], "keys of another count than queries")
    if bias is not None:
        shape = (*query.shape[:3], key.shape[2])
        _expect(tuple(bias.shape) == shape, f"the bias has shape {tuple(bias.shape)}, expected {shape}")
        _expect(bias.dtype == query.dtype, "the bias has another format than query")
        _expect(bias.stride(-1) == 1, "the bias does not lie row by row")
        _expect(bias.storage_offset() % step == 0, "the bias begins between two steps of 16 bytes")
        odd = [s for s in bias.stride()[:-1] if s % step]
        _expect(not odd, f"the bias has strides {bias.stride()}, which are no multiples of {step}")


def _weights(query: Tensor, key: Tensor, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    work = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(work) @ key.to(work).transpose(-1, -2)) * scale
    if bias is not None:
        scores = scores + bias.to(work)
    total = scores.logsumexp(-1)
    return scores, total


def efficient(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Tensor | None,
    compute_log_sumexp: bool,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``aten::_scaled_dot_product_efficient_attention``, without dropout."""
    check_operands(query, key, value, attn_bias)
    _expect(not dropout_p and not is_causal, "dropout and causal masks are not pretended")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores, total = _weights(query, key, attn_bias, scale)
    out = (scores - total.unsqueeze(-1)).exp() @ value.to(scores.dtype)
    empty = total == -torch.inf  # of such a row the output is not promised, and its log-sum-exp is 0
    out, total = out.masked_fill(empty.unsqueeze(-1), torch.nan), total.masked_fill(empty, 0.0)
    rows = query.shape[2]
    length = -(-rows // TILE) * TILE if compute_log_sumexp else 0
    padded = torch.full((*query.shape[:2], length), torch.inf, dtype=total.dtype)
    padded[..., :rows] = total[..., : min(rows, length)]
    laid_out = out.to(query.dtype).transpose(1, 2).contiguous().transpose(1, 2)  # as the kernel lays it out
    return laid_out, padded, torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)


def efficient_backward(
    grad_out_: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Tensor | None,
    out: Tensor,
    logsumexp: Tensor,
    philox_seed: Tensor,
    philox_offset: Tensor,
    dropout_p: float,
    grad_input_mask: list[bool],
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Its backward pass; no gradient of the bias."""
    check_operands(query, key, value, attn_bias)
    _check_total(logsumexp)
    out = _as_the_kernel_reads(out)
    _expect(logsumexp.dtype in (torch.float32, torch.float64), "the log-sum-exp is not in fp32")
    _expect(not dropout_p and not is_causal and not grad_input_mask[3], "this is not pretended")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores, _ = _weights(query, key, attn_bias, scale)
    work = scores.dtype
    weights = (scores - logsumexp[..., : query.shape[2]].unsqueeze(-1)).exp()
    grad, given = grad_out_.to(work), value.to(work)
    delta = (grad * out.to(work)).sum(-1, keepdim=True)
    of_scores = weights * (grad @ given.transpose(-1, -2) - delta) * scale
    grads = (of_scores @ key.to(work), of_scores.transpose(-1, -2) @ query.to(work), weights.transpose(-1, -2) @ grad)
    of_query, of_key, of_value = (one.to(query.dtype) for one in grads)
    return of_query, of_key, of_value, None


def _check_total(total: Tensor) -> None:
    """The log-sum-exp is read row by row, whatever its last stride is, in steps of eight."""
    _expect(total.shape[-1] % TILE == 0, f"the log-sum-exp has {total.shape[-1]} numbers a head")
    _expect(total.stride(-1) == 1, f"the log-sum-exp has strides {total.stride()}, no whole rows")
    odd = [s for s, n in zip(total.stride()[:2], total.shape[:2], strict=True) if n > 1 and s % 8]
    _expect(not odd, f"LSE is not correctly aligned: strides {total.stride()}")


def _as_the_kernel_reads(out: Tensor) -> Tensor:
    """The output as the backward pass reads it: in half precision one row of all heads after the other."""
    if out.dtype == torch.float32:
        return out
    _, heads, _, dim = out.shape
    strides = (out.stride(0), out.stride(1), heads * dim, 1)
    end = out.storage_offset() + sum((n - 1) * s for n, s in zip(out.shape, strides, strict=True))
    inside = end < out.untyped_storage().nbytes() // out.element_size()
    _expect(inside, f"the output {tuple(out.shape)} with strides {out.stride()} is read beyond its memory")
    return out.as_strided(out.shape, strides, out.storage_offset())


EMULATED: dict[str, Callable[..., Any]] = {
    "_scaled_dot_product_efficient_attention": efficient,
    "_scaled_dot_product_efficient_attention_backward": efficient_backward,
}
