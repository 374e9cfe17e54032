"""What accelerate does differently from what its users may expect.

==========  ===========================================================================================
release     what it does
==========  ===========================================================================================
1.15        Weights that wait on the CPU or on a disk are on the device ``meta`` until their layer runs, and
            so is ``model.device``. Where the model runs is written in the hook of the layer or of the model.
==========  ===========================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


def running_device(model: nn.Module) -> torch.device:
    """Return the device on which a model's inputs are expected.

    Args:
        model: A model with an attribute ``device``, or one that accelerate has dispatched.

    Example:
        >>> from longsum_lib import load
        >>> running_device(load("led-tiny", device="cpu"))
        device(type='cpu')
    """
    import torch

    device: torch.device = model.device  # type: ignore[assignment]  # a property of transformers' models
    if device.type != "meta":
        return device
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        for one in getattr(hook, "hooks", [hook]):
            place = getattr(one, "execution_device", None)
            if place is not None:
                return torch.device(f"cuda:{place}" if isinstance(place, int) else place)
    return device
