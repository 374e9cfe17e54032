"""What is used of torch beyond its public API, each with a guard: where it is gone, a slower public way takes over.

Written for torch 2.11 to 2.15. A private operator counts as there if it has the arguments that are passed to it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import nn

Result = TypeVar("Result")


@functools.cache
def fused_attention(device: str) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return the fused kernel that also gives the log-sum-exp, forward and backward; ``None`` where it is gone.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
    """
    if device == "cpu":
        name, mask = "_scaled_dot_product_flash_attention_for_cpu", "attn_mask"
    else:
        name, mask = "_scaled_dot_product_efficient_attention", "attn_bias"
    forward, backward = _operator("aten", name, mask, "scale"), _operator("aten", f"{name}_backward", "logsumexp")
    return None if forward is None or backward is None else (forward, backward)


@functools.cache
def few_rows_linear() -> Callable[..., Any] | None:
    """Return oneDNN's product of a few rows with a large matrix; ``None`` where it is gone."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return None
    return _operator("mkldnn", "_linear_pointwise", "attr", "scalars", "algorithm")


def nothing_drawn_without_memory() -> AbstractContextManager[Any]:
    """Leave out random first weights of tensors on the device ``meta``, which have no memory to hold them.

    Modules draw them when they are made, even where a checkpoint's weights come next. Without memory nothing is
    drawn, but torch imports its compiler to find that out: a second, for each process that loads a model.
    """
    from torch.overrides import TorchFunctionMode

    class Skip(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") in _DRAWING:
                tensor = args[0] if args else (kwargs or {}).get("tensor")
                if getattr(tensor, "is_meta", False):
                    return tensor
            return func(*args, **(kwargs or {}))

    return Skip()


_DRAWING = frozenset({"normal_", "uniform_", "kaiming_uniform_", "xavier_uniform_", "trunc_normal_"})


@functools.cache
def int8_product() -> Callable[..., Any] | None:
    """Return torch's product of bf16 rows with an int8 weight and its scales; ``None`` where it is gone."""
    import torch

    return _operator("aten", "_weight_int8pack_mm", "mat2", "scales") and torch._weight_int8pack_mm


@functools.cache
def has_half() -> bool:
    """Tell whether the processor multiplies bf16 by itself (AVX512-BF16 or AMX); otherwise bf16 is slower than fp32."""
    import torch

    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(supported()) for name in names if (supported := getattr(torch.cpu, name, None)))


@functools.cache
def multiplies_slowly(dtype: str) -> bool:
    """Tell whether torch's products in ``"bf16"`` or ``"fp16"`` on a CPU are made by neither oneDNN nor BLAS.

    They take six times as long as those in fp32 then, and much longer where neither side is transposed.
    """
    import torch

    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{dtype}_supported", None)
    return supported is not None and not supported()


@functools.cache
def lacks_half() -> bool:
    """Tell whether products of bf16 on this processor are better made in fp32.

    So they are on an x86 without AVX512-BF16 and AMX, as those of many laptops, and where oneDNN has no such products.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "x86")
    return not has_half() and (x86 or multiplies_slowly("bf16"))


@functools.cache
def has_tiles() -> bool:
    """Tell whether the processor has AMX: Intel's, on which torch's own product of one row is the fastest."""
    import torch

    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported and supported())


def _operator(space: str, name: str, *arguments: str) -> Callable[..., Any] | None:
    import torch

    packet = getattr(getattr(torch.ops, space), name, None)
    if packet is None:
        return None
    schemas = [getattr(packet, overload)._schema for overload in packet.overloads()]
    known = any(set(arguments) <= {argument.name for argument in schema.arguments} for schema in schemas)
    return packet if known else None


def compiled_whole(function: Callable[..., Result], kinds: int) -> Callable[..., Result]:
    """Compile a function as one graph, for so many kinds of arguments where torch lets one say so (from 2.13 on).

    Before, it is torch's own limit, eight. A call beyond the limit raises an error.
    """
    import torch

    limited = "recompile_limit" in inspect.signature(torch.compile).parameters
    options: dict[str, Any] = {"recompile_limit": kinds} if limited else {}
    compiled: Callable[..., Result] = torch.compile(function, fullgraph=True, **options)
    return compiled


def end_failed_recording(graph: torch.cuda.CUDAGraph, device: torch.device) -> None:
    """End the recording of a CUDA graph after an error in it, so that the thread may use the GPU again.

    Up to torch 2.11 the allocator then goes on as if it were being recorded; it is told by its own, private function.
    """
    import torch

    with contextlib.suppress(RuntimeError):
        graph.capture_end()
    end: Callable[..., None] | None = getattr(torch._C, "_cuda_endAllocateToPool", None)
    if end is not None:
        with contextlib.suppress(RuntimeError, TypeError):
            end(torch.cuda.current_device() if device.index is None else device.index, graph.pool())


def without_cudnn(device: torch.device) -> AbstractContextManager[None]:
    """Have ``scaled_dot_product_attention`` leave cuDNN's kernels alone, where there are others.

    From torch 2.11 on it prefers them on an H100. They build a plan for each new pair of lengths, half a second each,
    and the lengths of a decoder change with each token and each document.
    """
    return contextlib.nullcontext() if device.type != "cuda" or tracing() else _cudnn_off()


@contextlib.contextmanager
def _cudnn_off() -> Iterator[None]:
    import torch

    backends = torch.backends.cuda
    others: tuple[Callable[[], bool], ...] = (
        backends.flash_sdp_enabled,
        backends.mem_efficient_sdp_enabled,
        backends.math_sdp_enabled,
    )
    if not backends.cudnn_sdp_enabled() or not any(enabled() for enabled in others):
        yield
        return
    backends.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        backends.enable_cudnn_sdp(True)


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(f"_global{name}" for name in _HOOKS)


def has_hooks(module: nn.Module) -> bool:
    """Tell whether something happens when a module is called: a hook on it, or a ``forward`` put in its place.

    A hook that says ``keeps_nothing`` does not count.
    """
    own = vars(module)
    return "forward" in own or any(own.get(name) and _looks(own[name]) for name in _HOOKS)


def _looks(hooks: dict[int, Callable[..., Any]]) -> bool:
    return any(not getattr(hook, "keeps_nothing", False) for hook in hooks.values())


def has_global_hooks() -> bool:
    """Tell whether hooks are registered that run for every module."""
    from torch.nn.modules import module

    return any(getattr(module, name, None) for name in _GLOBAL_HOOKS)


def tracing() -> bool:
    """Tell whether a tracer records what is done: ``torch.compile``, ``torch.export`` or ``torch.jit.trace``."""
    import torch
    from torch.jit._trace import is_tracing

    return torch.compiler.is_compiling() or (is_tracing() and not getattr(_inside, "operator", False))


def check_transforms() -> None:
    """See that a transform of ``torch.func`` is one that code with data-dependent steps can follow.

    Raises:
        NotImplementedError: it is not ``grad`` or ``vjp``.
    """
    import torch

    if torch.compiler.is_compiling():
        return
    try:
        levels = torch._C._functorch.get_interpreter_stack() or []
    except AttributeError:
        return
    for name in {level.key().name for level in levels} & {"Vmap", "Jvp"}:
        raise NotImplementedError(
            f"torch.func.{name.lower()} cannot follow this library's attention, which chooses its steps by the masks; "
            "torch.func.grad, torch.func.vjp and functional_call can. Loop over the examples, or put them into a batch"
        )


_inside = threading.local()


@contextlib.contextmanager
def inside_operator() -> Iterator[None]:
    """Say that what runs now is one recorded operation: ``torch.jit.trace`` still counts as at work in there."""
    before, _inside.operator = getattr(_inside, "operator", False), True
    try:
        yield
    finally:
        _inside.operator = before


def transforming() -> bool:
    """Tell whether a transform of ``torch.func`` (``grad``, ``vmap``, ``jvp``, …) is at work."""
    import torch

    try:
        return torch._C._functorch.maybe_current_level() is not None
    except AttributeError:
        return False


def differentiating(function: Callable[[], Result]) -> Result:
    """Call a function inside an operator's kernel in such a way that autograd records it.

    The dispatcher leaves autograd out there. Without the private guard that brings it back, the function runs in a
    thread of its own, where nothing is left out.
    """
    import torch

    try:
        guard = _autograd_again()
    except (AttributeError, TypeError):
        return _in_a_thread(function)
    with guard, torch.enable_grad():
        return function()


def _autograd_again() -> AbstractContextManager[None]:
    import torch

    keys, excluded = torch._C.DispatchKey, torch._C._dispatch_tls_local_exclude_set()
    for key in (keys.AutogradOther, keys.AutogradCPU, keys.AutogradCUDA, keys.ADInplaceOrView):
        excluded = excluded - torch._C.DispatchKeySet(key)
    return torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)


def _in_a_thread(function: Callable[[], Result]) -> Result:
    from concurrent.futures import ThreadPoolExecutor

    import torch

    def call() -> Result:
        with torch.enable_grad():
            return function()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(call).result()
