"""Sliding window and global tokens through FlexAttention: one fused kernel on GPUs from Ampere on.

FlexAttention takes a rule for single pairs and a list of key blocks for every block of queries. The list is built
here from the geometry, block by block. PyTorch's ``create_block_mask`` would first make the ``length × length`` matrix:
4 GiB at 16,384 tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from longsum_lib.attention.arguments import check_backend
from longsum_lib.attention.window_patterns import documents_of
from longsum_lib.upstream.torch import compiled_whole

if TYPE_CHECKING:
    from longsum_lib.attention.sliding_window.attention import Task

BLOCK = 128


def flex_sliding_window(query: Tensor, key: Tensor, value: Tensor, task: Task, compiled: bool = False) -> Tensor:
    """Attend from every query, global or not, to its window and the global keys.

    Compiled on CUDA. On a CPU PyTorch runs it unfused, which is for checking only: it makes the whole score matrix.
    ``compiled`` on a CPU, it is slower than the blocked engine; ``benchmarks/NOTES.md`` has the figures.

    Args:
        query: ``(batch, heads, length, head_dim)``.
        key: ``(batch, key_heads, keys, head_dim)``.
        value: same shape.
        task: the window, the masks and all else.
        compiled: compile it on a CPU too.

    Returns:
        ``(batch, heads, length, head_dim)``; zeros in the rows of padding.

    Raises:
        ValueError: if dropout is asked for, or gradients on the CPU, where FlexAttention has none.
    """
    check_backend("flex", task.dropout, ("flex",))
    on_gpu = query.device.type == "cuda"
    watched = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    if watched and not on_gpu:
        raise ValueError("FlexAttention has no backward pass on the CPU; use backend='blocked'")
    mask = block_mask(query, key.shape[2], task)
    # Compiled for the first length, then once for all others: not once a document.
    attend: Callable[..., Any] = flex_attention
    if on_gpu or compiled:
        attend = _compiled()
    options = {"scale": task.scale, "enable_gqa": key.shape[1] != query.shape[1], "score_mod": _capped(task.softcap)}
    out: Tensor
    if task.sinks is None:
        out = attend(query, key, value, block_mask=mask, **options)
    else:
        out, aux = attend(query, key, value, block_mask=mask, return_aux=AuxRequest(lse=True), **options)
        kept = (aux.lse - task.sinks.to(aux.lse.dtype)[:, None]).sigmoid()  # exp(l - log(e^l + e^z))
        out = out * kept.unsqueeze(-1).to(out.dtype)
    real = task.real(query.shape[2])
    return out if real is None else out.masked_fill(~real[:, None, :, None], 0.0)


def _capped(softcap: float | None) -> Callable[..., Tensor] | None:
    if softcap is None:
        return None
    return lambda score, b, h, i, j: softcap * torch.tanh(score / softcap)


# Formats, head counts, head sizes, options: each of them is compiled for anew. torch stops after eight.
KINDS = 64


@cache
def _compiled() -> Callable[..., Any]:
    # Not dynamic=True: torch 2.13 then writes C++ for a CPU that its compiler refuses from the second length on. As a
    # full graph, since torch would else run it uncompiled beyond its limit, without a word: the whole score matrix.
    return compiled_whole(flex_attention, KINDS)


def block_mask(query: Tensor, keys: int, task: Task) -> BlockMask:
    """Return which blocks of keys each block of queries needs, and the rule for single pairs.

    All that a mask says of a key is the first and the last query that sees it: a window, global keys, padding and
    packed documents are runs of queries. So the rule reads two numbers a key, whatever was asked for, and is compiled
    once; where all pairs of two blocks are seen, it is not asked at all. Rows of padding see what they see: they are
    overwritten.

    Args:
        query: ``(batch, heads, length, head_dim)``; only shape and device count.
        keys: number of keys.
        task: the window and the masks.

    Cost:
        time and memory ``O(batch · (length / 128)²)``: 128² flags and indices, 0.1 MiB, at 16,384 tokens.
    """
    batch, _, length, _ = query.shape
    device = query.device
    first, last = seen_by(batch, length, keys, device, task)

    def rule(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (i >= first[b, j]) & (i <= last[b, j])

    blocks, key_blocks = -(-length // BLOCK), -(-keys // BLOCK)
    start = torch.arange(blocks, device=device, dtype=torch.int32)[:, None] * BLOCK  # of a block of queries
    end = (start + BLOCK - 1).clamp(max=length - 1)
    rest = (0, key_blocks * BLOCK - keys)
    firsts = torch.nn.functional.pad(first, rest, value=length).view(batch, 1, key_blocks, BLOCK)
    lasts = torch.nn.functional.pad(last, rest, value=-1).view(batch, 1, key_blocks, BLOCK)
    wanted = (firsts.amin(-1) <= end) & (lasts.amax(-1) >= start)  # (b, query blocks, key blocks)
    whole = (firsts.amax(-1) <= start) & (lasts.amin(-1) >= end)
    return BlockMask.from_kv_blocks(
        *_listed(wanted & ~whole), *_listed(whole), BLOCK_SIZE=BLOCK, mask_mod=rule, seq_lengths=(length, keys)
    )


def _listed(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks are wanted in each row, and their numbers, wanted ones first, in their order."""
    order = wanted.unsqueeze(1).int().argsort(dim=-1, descending=True, stable=True)
    return wanted.unsqueeze(1).sum(-1).int(), order.int()


def seen_by(batch: int, length: int, keys: int, device: torch.device, task: Task) -> tuple[Tensor, Tensor]:
    """Return the first and the last query that sees each key, int32 ``(batch, keys)``; none where first > last."""
    place = torch.arange(keys, device=device, dtype=torch.int32)
    first, last = place - (task.right + task.offset), place + (task.left - task.offset)
    if task.cu_seqlens is not None:
        document = documents_of(task.cu_seqlens)
        begins = task.cu_seqlens.to(torch.int32) - task.offset
        first, last = first.maximum(begins[document]), last.minimum(begins[document + 1] - 1)
    first, last = first.clamp(min=0).expand(batch, keys), last.clamp(max=length - 1).expand(batch, keys)
    if task.is_global is not None:
        first, last = first.masked_fill(task.is_global, 0), last.masked_fill(task.is_global, length - 1)
    if task.padding is not None:
        first, last = first.masked_fill(~task.padding, length), last.masked_fill(~task.padding, -1)
    return first.contiguous(), last.contiguous()
