"""A GPU that is not there: real numbers on the CPU, under a device that calls itself ``cuda:0``.

Code for a GPU takes other ways than code for a CPU: it asks for the device's type and capability, makes tensors there,
hands them to other kernels, records a step as a CUDA graph. None of it runs on a machine without a card. Here it does::

    with pretended_gpu(capability=(7, 5)) as card:
        model.to("cuda")(**{name: tensor.to("cuda") for name, tensor in batch.items()})
    card.waits  # where the processor would have waited for the card
    card.memory.peak  # bytes that tensors have held there at most
    card.kernels  # what ran, by name

What is refused as a GPU refuses it: tensors of two devices in one operation, numpy of a tensor that lies there, a
layout that the memory-efficient kernel does not take, and in a recording everything that waits. What this cannot show:
that a kernel of CUDA's is right, how long anything takes, and what kernels need for themselves.
"""

from tools.pretend_gpu.card import CapturingError, Card, Wait
from tools.pretend_gpu.kernels import RefusedError
from tools.pretend_gpu.runtime import pretended_gpu
from tools.pretend_gpu.tensor import OnCard

__all__ = ["CapturingError", "Card", "OnCard", "RefusedError", "Wait", "pretended_gpu"]
