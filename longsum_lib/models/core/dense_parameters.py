"""Weights of a linear layer as plain numbers, whatever they are stored as."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def has_dense_parameters(module: nn.Module) -> bool:
    """Whether :func:`dense_parameters` can tell a layer's weights: it is linear, quantized or not, and nothing more.

    Nothing more: no hook on it, which may change the weight or bring it, no adapter, no weights of a foreign kind.
    """
    from torch import nn

    from longsum_lib.models.core.int8 import Int8Linear
    from longsum_lib.models.core.looking import is_plain

    if not is_plain(module):
        return False
    if type(module) in (nn.Linear, Int8Linear):
        return True
    bitsandbytes = sys.modules.get("bitsandbytes")
    if bitsandbytes is None:
        return False
    if type(module) is bitsandbytes.nn.Linear4bit:
        state = module.weight.quant_state
        return state is not None and not getattr(state, "packing_format_for_cpu", False)
    return type(module) is bitsandbytes.nn.Linear8bitLt and _int8_scales(module) is not None


def dense_parameters(module: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor | None] | None:
    """Return weight and bias of a linear layer as plain tensors, quantized weights restored for the moment.

    Args:
        module: A layer.
        dtype: Format of restored weights; plain ones are handed on as they are.

    Returns:
        ``(outputs, inputs)`` and ``(outputs,)``; None where the layer does more than multiply.

    Cost:
        For a quantized layer, memory for one plain copy of its weight.
    """
    from torch import nn

    from longsum_lib.models.core.int8 import Int8Linear

    if not has_dense_parameters(module):
        return None
    if type(module) is nn.Linear:
        return module.weight, module.bias
    if isinstance(module, Int8Linear):
        return module.dense(dtype)
    import bitsandbytes

    bias = None if module.bias is None else module.bias.to(dtype)
    if isinstance(module, bitsandbytes.nn.Linear4bit):
        weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        return weight.to(dtype), bias
    codes = module.weight.data if module.state.CB is None else module.state.CB
    return (codes * (_int8_scales(module) / 127)[:, None]).to(dtype), bias


def _int8_scales(module: nn.Module) -> Tensor | None:
    """Largest weight of each row; it moves from the weight to the layer's state when the layer is first used."""
    return module.weight.SCB if module.state.SCB is None else module.state.SCB
