"""What every attention function asks of its tensors, so that a wrong one is named before a kernel sees it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_tensors(
    dropout: float = 0.0,
    *,
    padding: Tensor | None = None,
    optional: Mapping[str, Tensor | None] = MappingProxyType({}),
    **tensors: Tensor,
) -> None:
    """Check kinds, number formats and devices; shapes are each function's own business.

    Args:
        dropout: probability of dropping an attention weight.
        padding: mask of real tokens, or ``None``.
        optional: more of them, each of which may be ``None``.
        **tensors: query, key, value and so on, by the names of the arguments; the first one sets the example.

    Raises:
        ValueError: if one is no tensor, of another number format or on another device, or ``dropout`` is no
            probability.

    Example:
        >>> check_tensors(query=torch.zeros(1), key=torch.zeros(1).half())
        Traceback (most recent call last):
        ...
        ValueError: query is torch.float32, key is torch.float16; expected one number format, as by key.to(query.dtype)
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}, expected a probability, at least 0 and below 1")
    first, example = next(iter(tensors.items()))
    tensors |= {name: tensor for name, tensor in optional.items() if tensor is not None}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is of type {type(tensor).__name__}, expected a tensor; see torch.as_tensor")
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name} is {tensor.dtype}, expected fp32, bf16, fp16 or fp64; see {name}.float()")
        if tensor.dtype != example.dtype:
            raise ValueError(
                f"{first} is {example.dtype}, {name} is {tensor.dtype}; expected one number format, as by "
                f"{name}.to({first}.dtype)"
            )
    for name, tensor in {**tensors, "padding": padding}.items():
        if tensor is not None and tensor.device != example.device:
            raise ValueError(f"{first} is on {example.device}, {name} on {tensor.device}; move them to one device")
