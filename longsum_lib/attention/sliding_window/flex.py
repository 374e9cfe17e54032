"""Sliding window and global tokens through FlexAttention: one fused kernel on GPUs from Ampere on.

FlexAttention takes a rule for single pairs and a list of key blocks for every block of queries. The list is built
here from the geometry, block by block. PyTorch's ``create_block_mask`` would first make the ``length × length`` matrix:
4 GiB at 16,384 tokens.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128


def flex_sliding_window(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    is_global: Tensor | None,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Attend from every query, global or not, to its window and the global keys.

    Arguments and result are those of :func:`.sliding_window.attention.local_rows`.
    Compiled on CUDA; elsewhere PyTorch runs
    it unfused, which is for checking only: it makes the whole score matrix.

    Raises:
        ValueError: if ``dropout`` is asked for, or gradients on the CPU, where FlexAttention has none.
    """
    if dropout:
        raise ValueError(f"backend 'flex' has no dropout, got dropout={dropout}; use backend='blocked'")
    on_gpu = query.device.type == "cuda"
    watched = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    if watched and not on_gpu:
        raise ValueError("FlexAttention has no backward pass on the CPU; use backend='blocked'")
    mask = block_mask(query, window, is_global, padding)
    # One size of kernel for all lengths of a block: compiled once, not once a document.
    attend = _compiled() if on_gpu else flex_attention
    out = attend(query, key, value, block_mask=mask, scale=scale)
    return out if padding is None else out.masked_fill(~padding[:, None, :, None], 0.0)


@cache
def _compiled():
    return torch.compile(flex_attention, dynamic=True)


def block_mask(query: Tensor, window: int, is_global: Tensor | None, padding: Tensor | None) -> BlockMask:
    """Return which blocks of keys each block of queries needs, and the rule for single pairs.

    Args:
        query: ``(batch, heads, length, head_dim)``; only shape and device count.
        window: one-sided radius in tokens.
        is_global: ``(batch, length)`` bool or ``None``.
        padding: ``(batch, length)`` bool, ``True`` for real tokens, or ``None``.

    Cost:
        time and memory ``O(batch · (length / 128)²)``: 128² flags and indices, 0.1 MiB, at 16,384 tokens.
    """
    batch, _, length, _ = query.shape
    device = query.device
    no_globals = torch.zeros(batch, length, dtype=torch.bool, device=device)
    is_global = no_globals if is_global is None else is_global
    padding = ~no_globals if padding is None else padding

    def rule(b, h, i, j):
        return ((i - j).abs() <= window) & padding[b, j] & padding[b, i] | is_global[b, j] & padding[b, j]

    blocks = -(-length // BLOCK)
    number = torch.arange(blocks, device=device)
    near = (number[:, None] - number[None, :]).abs() * BLOCK < window + BLOCK
    padded = torch.nn.functional.pad(is_global & padding, (0, blocks * BLOCK - length))
    wanted = near | padded.view(batch, 1, blocks, BLOCK).any(-1)  # (b, query blocks, key blocks)
    wanted = wanted.expand(batch, blocks, blocks).unsqueeze(1)
    order = wanted.int().argsort(dim=-1, descending=True, stable=True)  # wanted blocks first, in their order
    counts = wanted.sum(-1)
    return BlockMask.from_kv_blocks(
        counts.int(), order.int(), BLOCK_SIZE=BLOCK, mask_mod=rule, seq_lengths=(length, length)
    )
