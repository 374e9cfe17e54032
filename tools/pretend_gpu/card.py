"""The pretended GPU: what it refuses, what makes the processor wait for it, and what it records."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tools.pretend_gpu import kernels
from tools.pretend_gpu.memory import Memory
from tools.pretend_gpu.tensor import PLACE, OnCard, ToCard, ToCPU

# How many numbers these give depends on the numbers: the processor has to wait for the card to know.
_WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "equal",
    "is_nonzero",
    "bincount",
}
# What may take tensors of both places: it moves them.
_MOVING = {"copy_", "_to_copy"}
# For these torch's core makes indices itself, in the backward pass of views, on what it takes for the tensor's device.
_INDEXED_BY_CORE = {"index_add_"}
_INDEXING = {"index", "index_put_", "index_put", "_index_put_impl_"}


class CapturingError(RuntimeError):
    """Something that no CUDA graph can hold."""


@dataclass
class Wait:
    """One moment in which the processor waits for the card."""

    what: str
    where: str


@dataclass
class Card:
    """A card of so much memory and such a capability: ``(9, 0)`` is an H100, ``(7, 5)`` a T4."""

    capability: tuple[int, int] = (9, 0)
    gib: float = 80.0
    name: str = "Pretended GPU"
    waits: list[Wait] = field(default_factory=list)
    kernels: dict[str, int] = field(default_factory=dict)
    replays: int = 0
    stream: object = None  # the one beside the default stream that is in use
    spoilt: bool = False  # whether something in the recording was not allowed
    waiting: str = "default"
    """What a wait leads to: ``"default"``, ``"warn"`` or ``"error"``, as in ``torch.cuda.set_sync_debug_mode``."""

    def __post_init__(self) -> None:
        self.memory = Memory(int(self.gib * 2**30))
        self.recording: list[Callable[[], None]] | None = None

    # What moves.

    def take(self, tensor: Tensor) -> Tensor:
        """Return a copy of a CPU tensor on the card."""
        if isinstance(tensor, OnCard):
            return tensor
        self.wait("a copy from the processor's memory")
        out: Tensor = ToCard.apply(tensor, self)
        return out

    def give(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor of the card on the CPU."""
        if not isinstance(tensor, OnCard):
            return tensor
        self.wait("a copy to the processor's memory")
        out: Tensor = ToCPU.apply(tensor)
        return out

    def hold(self, inner: Tensor) -> Tensor:
        """Say of a tensor that was just made that it was made on the card."""
        return OnCard(inner, self)

    def wait(self, what: str) -> None:
        """Note that the processor waits here."""
        if self.recording is not None:
            self.spoilt = True
            raise CapturingError(f"operation not permitted when stream is capturing: {what}")
        if self.waiting == "error":
            raise RuntimeError(f"called a synchronizing CUDA operation: {what}")
        self.waits.append(Wait(what, _place()))

    # What runs.

    def run(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Do what a kernel would do, on the CPU; ``args`` are the CPU's tensors, ``tensors`` what was given."""
        name = func._schema.name.partition("::")[2]
        self._check_places(name, tensors)
        if name in _WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.wait(name)
        if name in _INDEXING and _chooses_by_numbers(name, args):
            self.wait(f"{name} by a mask")
        emulated = kernels.EMULATED.get(name)
        self.count(name)
        work: Callable[..., Any] = func if emulated is None else emulated
        out = work(*args, **kwargs)
        if self.recording is not None:
            self.recording.append(_again(func, work, args, kwargs, out))
        return out

    def count(self, name: str) -> None:
        """Note that a kernel ran."""
        self.kernels[name] = self.kernels.get(name, 0) + 1

    def prefers_cudnn(self) -> bool:
        """Whether torch would take cuDNN's attention before its own: since 2.11, on an H100."""
        return self.capability >= (9, 0) and torch.backends.cuda.cudnn_sdp_enabled()

    def make(self, work: Callable[..., Tensor], args: Any, kwargs: Any) -> Any:
        """Make a tensor on the card: ``work`` is a function of torch that makes one on the CPU."""
        out = work(*args, **kwargs)
        if self.recording is not None:
            self.recording.append(lambda: _fill(out, work(*args, **kwargs)))
        return torch.utils._pytree.tree_map(lambda one: self.hold(one) if isinstance(one, Tensor) else one, out)

    def _check_places(self, name: str, tensors: list[Tensor]) -> None:
        others = [one for one in tensors if not isinstance(one, OnCard) and one.dim() > 0]
        if not others or name in _INDEXED_BY_CORE:
            return
        if name in _MOVING:
            self.wait("a copy between the processor's memory and the card's")
            return
        if name in _INDEXING and isinstance(tensors[0], OnCard):
            self.wait("a copy of indices from the processor's memory")
            return
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {PLACE} and cpu! ({name})"
        )


def _place() -> str:
    """Where in the program the processor waits: the innermost line that is neither torch's nor of this folder."""
    for frame in reversed(traceback.extract_stack()):
        if "/torch/" not in frame.filename and "pretend_gpu" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return "?"


def _chooses_by_numbers(name: str, args: Any) -> bool:
    """Whether an indexing asks for a number of places that only the card knows."""
    masks = any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    if name == "index" or not masks:
        return masks
    fills = args[2].numel() == 1 and not (len(args) > 3 and args[3])  # torch makes a `masked_fill` of it
    return not fills


def _again(func: Any, work: Callable[..., Any], args: Any, kwargs: Any, out: Any) -> Callable[[], None]:
    """Return what repeats a kernel on the same places of memory."""
    aliases = [one.alias_info for one in func._schema.returns]
    if any(one is not None and one.is_write for one in aliases):  # in place: the same call does the same
        return lambda: work(*args, **kwargs)
    if any(one is not None for one in aliases):  # a view: no kernel at all
        return lambda: None
    return lambda: _fill(out, work(*args, **kwargs))


def _fill(places: Any, numbers: Any) -> None:
    flat = torch.utils._pytree.tree_leaves
    for place, new in zip(flat(places), flat(numbers), strict=True):
        if isinstance(place, Tensor) and place is not new:
            place.copy_(new)


class CardMode(TorchFunctionMode):
    """While it is on, ``device="cuda"`` means the pretended card."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Move what is moved, make what is made on the card there, and leave everything else."""
        kwargs = dict(kwargs or {})
        fused = func is torch.nn.functional.scaled_dot_product_attention and isinstance(args[0], OnCard)
        if fused and self.card.prefers_cudnn():
            self.card.count("cudnn attention")
        handler = _HANDLERS.get(func)
        if handler is not None:
            return handler(self.card, func, args, kwargs)
        if kwargs.get("device") is None:
            return func(*args, **kwargs)
        place = torch.device(kwargs["device"])
        if place.type not in ("cuda", "cpu"):
            return func(*args, **kwargs)
        kwargs["device"] = torch.device("cpu")
        given = [one for one in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(one, OnCard)]
        if place.type == "cuda":
            if func in (torch.tensor, torch.as_tensor, torch.asarray):  # from numbers of the processor
                if given and isinstance(args[0], OnCard):
                    return args[0]
                return self.card.take(func(*args, **kwargs))
            if not given:
                return self.card.make(func, args, kwargs)
            out = func(*args, **kwargs)  # filled with a number of the card, or like a tensor
            return out if isinstance(out, OnCard) else self.card.hold(out)
        out = func(*args, **kwargs)
        return out.numbers if isinstance(out, OnCard) else out


def _to(card: Card, func: Any, args: Any, kwargs: Any) -> Any:
    tensor, *given = args
    asked = dict(kwargs)
    place, rest = _named_place(given, kwargs)
    if place is None or place.type not in ("cuda", "cpu"):
        return func(tensor, *given, **asked)
    if rest or set(kwargs) - {"non_blocking"}:  # another format, or a copy, too
        tensor = func(tensor, torch.device("cpu"), *rest, **kwargs)  # which both are to torch's core
    return card.take(tensor) if place.type == "cuda" else card.give(tensor)


def _named_place(rest: list[Any], kwargs: dict[str, Any]) -> tuple[torch.device | None, list[Any]]:
    """Split the device off the arguments of ``Tensor.to``."""
    if kwargs.get("device") is not None:
        return torch.device(kwargs.pop("device")), rest
    kwargs.pop("device", None)
    if rest and isinstance(rest[0], Tensor):
        other = rest[0]
        return torch.device(other.device), [other.dtype, *rest[1:]]
    if rest and (isinstance(rest[0], (str, torch.device, int)) and not isinstance(rest[0], bool)):
        place = torch.device("cuda", rest[0]) if isinstance(rest[0], int) else torch.device(rest[0])
        return place, rest[1:]
    if rest and rest[0] is None:
        return None, rest[1:]
    return None, rest


def _cuda(card: Card, func: Any, args: Any, kwargs: Any) -> Tensor:
    return card.take(args[0])


def _cpu(card: Card, func: Any, args: Any, kwargs: Any) -> Tensor:
    return card.give(args[0])


def _tolist(card: Card, func: Any, args: Any, kwargs: Any) -> Any:
    tensor = args[0]
    if isinstance(tensor, OnCard):
        card.wait("tolist")
        tensor = tensor.numbers
    return tensor.tolist()


def _numpy(card: Card, func: Any, args: Any, kwargs: Any) -> Any:
    if isinstance(args[0], OnCard):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
    return func(*args, **kwargs)


_HANDLERS: dict[Any, Callable[[Card, Any, Any, Any], Any]] = {
    Tensor.to: _to,
    Tensor.cuda: _cuda,
    Tensor.cpu: _cpu,
    Tensor.tolist: _tolist,
    Tensor.numpy: _numpy,
    Tensor.__array__: _numpy,
}
