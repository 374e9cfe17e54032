"""Tensors that say they lie on a GPU, and compute on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from tools.pretend_gpu.card import Card

PLACE = torch.device("cuda", 0)


class OnCard(Tensor):
    """A tensor of the pretended GPU; its numbers are those of ``numbers``, a tensor of the CPU.

    To torch's core it is a CPU tensor, since a build without CUDA refuses to differentiate any other; to all code
    written in Python it lies on ``cuda:0``.
    """

    numbers: Tensor
    card: Card
    _is_param: bool

    @staticmethod
    def __new__(cls, inner: Tensor, card: Card | None = None, requires_grad: bool = False) -> Any:
        """Wrap a tensor of the CPU; one of the card becomes another tensor with the same numbers."""
        if isinstance(inner, OnCard):
            inner, card = inner.numbers, inner.card
        if card is None:  # a parameter that leaves the card: accelerate makes it by the class of the one before
            return torch.nn.Parameter(inner, requires_grad)
        made: OnCard = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=inner.device,
            requires_grad=requires_grad,
        )
        made.numbers, made.card = inner, card
        card.memory.keep(inner)
        return made

    @property
    def device(self) -> torch.device:
        """Where it says it is."""
        return PLACE

    @property
    def is_cuda(self) -> bool:
        """It says so."""
        return True

    @property
    def is_cpu(self) -> bool:
        """It says not."""
        return False

    def get_device(self) -> int:
        """Return the number of the card."""
        return 0

    def data_ptr(self) -> int:
        """Return the address of its numbers."""
        return self.numbers.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a tensor with numbers of its own."""
        if id(self) not in memo:
            made = OnCard(self.numbers.clone(), self.card, self.requires_grad)
            if getattr(self, "_is_param", False):  # which makes it an `nn.Parameter`
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    def __repr__(self, **_: object) -> str:
        """Show the numbers, without counting that as a wait."""
        return f"OnCard({self.numbers!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it on the CPU, after the card has looked at it."""
        kwargs = kwargs or {}
        if (made := func.decompose(*args, **kwargs)) is not NotImplemented:  # inference mode hands on what is composed
            return made
        given = _tensors(args, kwargs)
        base = next(one for one in given if isinstance(one, OnCard))
        card = base.card
        out = card.run(func, tree_map(_inner, args), tree_map(_inner, kwargs), given)
        # A view of what was made outside of inference mode is no tensor of inference mode.
        with torch.inference_mode(torch.is_inference_mode_enabled() and not (func.is_view and not base.is_inference())):
            wrapped = tree_map(lambda one: _outer(one, card), out)
        written = _written(func, args, kwargs)
        return written[0] if len(written) == 1 else written or wrapped


def _inner(one: object) -> object:
    return one.numbers if isinstance(one, OnCard) else one


def _written(func: Any, args: Any, kwargs: Any) -> tuple[Any, ...]:
    """Return the tensors that were changed in place, if some were: an operation returns these, not others."""
    names = [one.name for one in func._schema.arguments if one.alias_info is not None and one.alias_info.is_write]
    places = {one.name: number for number, one in enumerate(func._schema.arguments)}
    return tuple(kwargs[name] if name in kwargs else args[places[name]] for name in names)


def _outer(one: object, card: Card) -> object:
    return OnCard(one, card) if isinstance(one, Tensor) and one.device.type == "cpu" else one


def _tensors(args: Any, kwargs: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda one: found.append(one) if isinstance(one, Tensor) else None, (args, kwargs))
    return found


class ToCard(torch.autograd.Function):
    """A copy from the CPU to the card."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, card: Card) -> Tensor:
        """Copy."""
        return OnCard(tensor.detach().clone(), card)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Bring the gradient back."""
        return _inner(grad).clone(), None


class ToCPU(torch.autograd.Function):
    """A copy from the card to the CPU."""

    @staticmethod
    def forward(ctx: Any, tensor: OnCard) -> Tensor:
        """Copy."""
        ctx.card = tensor.card
        return tensor.numbers.detach().clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Take the gradient to the card."""
        return OnCard(grad.clone(), ctx.card)
