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

    Args:
        query: ``(batch, heads, length, head_dim)``; only shape and device count.
        keys: number of keys.
        task: the window and the masks.

    Cost:
        time and memory ``O(batch · (length / 128)²)``: 128² flags and indices, 0.1 MiB, at 16,384 tokens.
    """
    batch, _, length, _ = query.shape
    device, left, right, offset = query.device, task.left, task.right, task.offset
    nothing = torch.zeros(batch, keys, dtype=torch.bool, device=device)
    is_global = nothing if task.is_global is None else task.is_global
    padding = ~nothing if task.padding is None else task.padding
    document = None if task.cu_seqlens is None else documents_of(task.cu_seqlens)

    def rule(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        i = i + offset
        near = (j >= i - left) & (j <= i + right)
        near = near if document is None else near & (document[i] == document[j])
        return near & padding[b, j] & padding[b, i] | is_global[b, j] & padding[b, j]

    blocks, key_blocks = -(-length // BLOCK), -(-keys // BLOCK)
    first = torch.arange(blocks, device=device)[:, None] * BLOCK + offset  # of a block of queries
    place = torch.arange(key_blocks, device=device)[None, :] * BLOCK
    near = (place + BLOCK > first - left) & (place < first + BLOCK + right)
    padded = torch.nn.functional.pad(is_global & padding, (0, key_blocks * BLOCK - keys))
    wanted = near | padded.view(batch, 1, key_blocks, BLOCK).any(-1)  # (b, query blocks, key blocks)
    wanted = wanted.expand(batch, blocks, key_blocks).unsqueeze(1)
    order = wanted.int().argsort(dim=-1, descending=True, stable=True)  # wanted blocks first, in their order
    counts = wanted.sum(-1)
    return BlockMask.from_kv_blocks(
        counts.int(), order.int(), BLOCK_SIZE=BLOCK, mask_mod=rule, seq_lengths=(length, keys)
    )
