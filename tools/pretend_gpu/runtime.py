"""What ``torch.cuda`` says while a GPU is pretended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from longsum_lib.attention.sliding_window import flex
from longsum_lib.models.core import looking
from longsum_lib.models.core.step import recorded
from tools.pretend_gpu.card import Card, CardMode
from tools.pretend_gpu.flex import flex_attention
from tools.pretend_gpu.tensor import OnCard


class Stream:
    """A stream, on which everything runs at once."""

    def __init__(self, device: object = None, **_: object) -> None:
        self.device = device

    def wait_stream(self, other: object) -> None:
        """There is nothing to wait for."""

    def synchronize(self) -> None:
        """There is nothing to wait for."""


class Graph:
    """A CUDA graph: the kernels that ran while it was recorded, to be run again on the same places of memory."""

    card: Card

    def __init__(self, *_: object, **__: object) -> None:
        self.steps: list[Callable[[], None]] | None = None

    def capture_begin(self, pool: object = None, capture_error_mode: str = "global") -> None:
        """Record from here on what runs, beside the default stream."""
        if self.card.stream is None:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream")
        if self.card.recording is not None:
            raise RuntimeError("two recordings at a time")
        self.card.recording, self.card.spoilt = [], False

    def capture_end(self) -> None:
        """End the recording."""
        steps, self.card.recording = self.card.recording, None
        if steps is None or self.card.spoilt:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        self.steps = steps

    def pool(self) -> tuple[int, int]:
        """Return the name of its memory."""
        return (0, 1)

    def replay(self) -> None:
        """Run them."""
        if self.steps is None:
            raise RuntimeError("a graph without a recording was replayed")
        self.card.replays += 1
        with torch.inference_mode(), torch._C.DisableTorchFunction():
            for step in self.steps:
                step()


class Device(contextlib.AbstractContextManager[None]):
    """``torch.cuda.device``, of which there is one."""

    def __init__(self, *_: object) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _replacements(card: Card) -> dict[str, Any]:
    memory = card.memory

    @contextlib.contextmanager
    def stream(one: Stream | None) -> Iterator[None]:
        before, card.stream = card.stream, one
        try:
            yield
        finally:
            card.stream = before

    @contextlib.contextmanager
    def graph(made: Graph, *_: object, **__: object) -> Iterator[None]:
        with stream(Stream()):
            made.capture_begin()
            try:
                yield
            finally:
                made.capture_end()

    def forget_peak(*_: object) -> None:
        memory.peak = memory.taken

    def synchronize(*_: object) -> None:
        card.wait("torch.cuda.synchronize")

    properties = SimpleNamespace(
        name=card.name,
        major=card.capability[0],
        minor=card.capability[1],
        total_memory=memory.total,
        multi_processor_count=132,
    )
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda *_: None,
        "device": Device,
        "get_device_capability": lambda *_: card.capability,
        "get_device_name": lambda *_: card.name,
        "get_device_properties": lambda *_: properties,
        "is_bf16_supported": lambda including_emulation=True: including_emulation or card.capability >= (8, 0),
        "mem_get_info": lambda *_: (memory.total - memory.taken, memory.total),
        "memory_allocated": lambda *_: memory.taken,
        "memory_reserved": lambda *_: memory.taken,
        "max_memory_allocated": lambda *_: memory.peak,
        "reset_peak_memory_stats": forget_peak,
        "empty_cache": lambda: None,
        "synchronize": synchronize,
        "current_stream": lambda *_: card.stream or Stream(),
        "stream": stream,
        "Stream": Stream,
        "CUDAGraph": type("CUDAGraph", (Graph,), {"card": card}),
        "graph": graph,
        "set_sync_debug_mode": lambda mode: setattr(card, "waiting", mode),
        "manual_seed": lambda *_: None,
        "manual_seed_all": lambda *_: None,
    }


@contextlib.contextmanager
def _moved_by_swapping() -> Iterator[None]:
    """A module that moves puts other numbers under a parameter; here the parameter becomes another kind of tensor."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def _inside(mode: CardMode) -> Callable[..., Any]:
    """Have a backward pass make its tensors on the card: torch switches a mode off in what is called through it."""
    run = torch.autograd._engine_run_backward

    def run_inside(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return run(*args, **kwargs)

    return run_inside


@contextlib.contextmanager
def pretended_gpu(capability: tuple[int, int] = (9, 0), gib: float = 80.0) -> Iterator[Card]:
    """Pretend that this machine has a GPU.

    Args:
        capability: of the card, which decides on formats and kernels: ``(9, 0)`` an H100, ``(7, 5)`` a T4.
        gib: its memory.

    Yields:
        the card, which has noted waits, kernels and memory.
    """
    card = Card(capability, gib)
    with contextlib.ExitStack() as stack:
        for name, new in _replacements(card).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, new))
        # torch's compiler, which some libraries import, takes it from there where there is a GPU.
        stack.enter_context(mock.patch.object(torch._C, "_cuda_getCurrentRawStream", return_value=0, create=True))
        stack.enter_context(mock.patch.object(recorded, "_stream", Stream))  # none that is kept for a real card
        stack.enter_context(mock.patch.object(flex, "_compiled", return_value=flex_attention))
        plain = looking._plain_tensor
        stack.enter_context(mock.patch.object(looking, "_plain_tensor", lambda kind: kind is OnCard or plain(kind)))
        stack.enter_context(_moved_by_swapping())
        mode = stack.enter_context(CardMode(card))
        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", _inside(mode)))
        yield card
