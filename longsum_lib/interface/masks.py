"""What transformers' mask interface calls for ``attn_implementation="longsum"``: a description instead of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from longsum_lib.interface.reading import read_sight
from longsum_lib.interface.sight import SightMask
from longsum_lib.upstream.torch import tracing

if TYPE_CHECKING:
    from longsum_lib.upstream.masks import MaskFunction


def longsum_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: MaskFunction | None = None,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Tensor | None:
    """Describe what is seen, as transformers asks it of a mask interface.

    A single query (a step of generation) gets transformers' own mask, which is one row. So does a graph that is being
    traced by ``torch.compile`` or ``torch.export``: there transformers' matrix is made, as for ``"sdpa"``.

    Args:
        batch_size: sequences.
        q_length: queries.
        kv_length: keys.
        q_offset: position of the first query.
        kv_offset: position of the first key.
        mask_function: says of batch, head, query position and key position whether the key is seen; ``None`` = causal.
        attention_mask: ``(batch, positions)`` bool, ``True`` for real tokens.
        device: where the mask is used.
        **options: what transformers passes to other implementations besides; it says nothing about what is seen.

    Returns:
        A :class:`.sight.SightMask`; for one query or a traced graph what ``sdpa_mask`` returns.

    Raises:
        UnsupportedAttention: what is seen is no band of keys around each query.
    """
    from transformers import masking_utils

    function: Callable[..., Any] = mask_function or masking_utils.causal_mask_function
    if q_length == 1 or tracing():
        plain: dict[str, Any] = {"mask_function": function, "attention_mask": attention_mask, "device": device}
        plain |= {"q_offset": q_offset, "kv_offset": kv_offset}
        return masking_utils.sdpa_mask(batch_size, q_length, kv_length, **plain, **options)
    sight = read_sight(function, q_length, kv_length, int(q_offset), kv_offset, attention_mask)
    return SightMask(batch_size, q_length, [sight.on(torch.device(device))], device)
