"""FlexAttention as a card would compute it: the listed blocks of keys, and in them the pairs that the rule allows.

Compiled, FlexAttention looks at the listed blocks only. So does this; a list that leaves out a block shows in the
result.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Any = None,
    block_mask: Any = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_aux: Any = None,
) -> Any:
    """Return what ``torch.nn.attention.flex_attention.flex_attention`` returns, by plain products."""
    batch, heads, length, dim = query.shape
    keys = key.shape[2]
    if enable_gqa:
        key, value = (one.repeat_interleave(heads // one.shape[1], 1) for one in (key, value))
    places = (
        torch.arange(batch, device=query.device)[:, None, None, None],
        torch.arange(heads, device=query.device)[None, :, None, None],
        torch.arange(length, device=query.device)[None, None, :, None],
        torch.arange(keys, device=query.device)[None, None, None, :],
    )
    work = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(work) @ key.to(work).transpose(-1, -2)) * (dim**-0.5 if scale is None else scale)
    if score_mod is not None:
        scores = score_mod(scores, *places)
    pairs = (batch, heads, length, keys)
    partial = listed(block_mask.kv_indices, block_mask.kv_num_blocks, block_mask.BLOCK_SIZE, length, keys)
    seen = block_mask.mask_mod(*places).expand(pairs) & partial
    if block_mask.full_kv_indices is not None:  # where the rule is not asked
        whole = block_mask.full_kv_indices, block_mask.full_kv_num_blocks
        seen = seen | listed(*whole, block_mask.BLOCK_SIZE, length, keys)
    scores = scores.masked_fill(~seen, -torch.inf)
    total = scores.logsumexp(-1)
    weights = (scores - total.clamp_min(torch.finfo(work).min).unsqueeze(-1)).exp()
    out = (weights @ value.to(work)).to(query.dtype)
    return out if return_aux is None else (out, SimpleNamespace(lse=total))


def listed(indices: Tensor, counts: Tensor, size: tuple[int, int], length: int, keys: int) -> Tensor:
    """Return which pairs lie in a listed block, ``(batch, heads, length, keys)``."""
    rows, columns = size
    number = torch.arange(indices.shape[-1], device=indices.device)
    chosen = torch.zeros(indices.shape, dtype=torch.bool, device=indices.device)
    chosen = chosen.scatter(-1, indices.long(), number < counts.unsqueeze(-1))
    return chosen.repeat_interleave(rows, -2)[..., :length, :].repeat_interleave(columns, -1)[..., :keys]
