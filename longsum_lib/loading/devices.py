"""Which device and number format to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from longsum_lib.errors import DeviceError, LongsumWarning, OptionError, did_you_mean, warn
from longsum_lib.units import DTYPE_NAMES
from longsum_lib.upstream.torch import has_half

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from longsum_lib.loading.registry import ModelType


def choose_device(device: str | int | torch.device | None = "auto") -> torch.device:
    """Return the device to run on; ``None`` and ``"auto"`` take CUDA if there is some, else the CPU.

    Apple's MPS is only taken when it is named: these models have not been tested there.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or a torch device; or as transformers'
            pipelines have it, a number (also as text): that GPU, -1 for the CPU.

    Raises:
        DeviceError: This machine has no such device.
        OptionError: That is no device.

    Example:
        >>> choose_device("cpu"), choose_device(-1)
        (device(type='cpu'), device(type='cpu'))
    """
    import torch

    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(_named(device))
    except (RuntimeError, TypeError) as error:
        expected = "auto, cpu, cuda, cuda:0 …, mps, or a number: 0 is cuda:0, -1 the cpu"
        raise OptionError(f"unknown device {device!r}; expected {expected}") from error
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(f"device {str(chosen)!r}: torch finds no CUDA device here; choose cpu or auto")
        if (chosen.index or 0) >= count:
            raise DeviceError(f"device {str(chosen)!r}: this machine has only cuda:0 to cuda:{count - 1}")
    elif chosen.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps': torch finds no Apple GPU here; choose cpu or auto")
    elif chosen.type not in ("cpu", "cuda", "mps"):
        raise OptionError(f"device {str(chosen)!r} is not supported; expected auto, cpu, cuda or mps")
    return chosen


def _named(device: str | int | torch.device) -> str | torch.device:
    """Return the name of a device that is a number; anything else as it is."""
    number = str(device).strip() if isinstance(device, str | int) and not isinstance(device, bool) else ""
    if number == "-1":
        return "cpu"
    if number.isascii() and number.isdigit():
        return f"cuda:{number}"
    return cast("str | torch.device", device)  # of another number or kind torch says what is wrong


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device, entry: ModelType) -> torch.dtype:
    """Return the number format to load a model in.

    ``None`` and ``"auto"`` take fp32 on the CPU and on MPS. On a CUDA GPU they take bf16 where the chip has
    it, else (a T4, for example) fp16, or fp32 for models whose activations leave the range of fp16. torch
    would say that a T4 supports bf16, but it only emulates it, slowly.

    Args:
        dtype: A torch dtype, one of ``DTYPE_NAMES``, ``"auto"`` or None.
        device: From ``choose_device``.
        entry: The model's entry in ``MODEL_TYPES``.

    Raises:
        OptionError: Not one of the three floating-point formats.
    """
    import torch

    if dtype is None or dtype == "auto":
        if device.type != "cuda":
            return torch.float32
        with torch.cuda.device(device):
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return torch.bfloat16
        return torch.float16 if entry.fp16_safe else torch.float32
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        if name not in DTYPE_NAMES:
            raise OptionError(
                f"unknown number format {dtype!r}{did_you_mean(name, DTYPE_NAMES)}; expected auto, fp32, bf16 or fp16"
            )
        dtype = getattr(torch, DTYPE_NAMES[name])
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise OptionError(f"number format {dtype} is not supported; expected auto, fp32, bf16 or fp16")
    return dtype


def fast_quantization(
    device: str | int | torch.device | None, dtype: str | torch.dtype | None, quantization: object
) -> str | None:
    """Return the quantization that ``fast`` stands for: ``"int8"`` on a CPU that computes in bf16, else none.

    On a GPU the automatic number format is the fast one already, and :func:`record_steps` does the rest. On a CPU
    without bf16 of its own int8 reads a document more slowly, so that a warning says that nothing changes.

    Args:
        device: Where to compute.
        dtype: Must be left to choose.
        quantization: Likewise.

    Raises:
        OptionError: The caller has chosen a format.
    """
    if quantization is not None or dtype not in (None, "auto"):
        raise OptionError("fast chooses the number format and the quantization; leave dtype and quantization out")
    if choose_device(device).type != "cpu":
        return None
    if not has_half():
        why = "this processor has no instructions for bf16 (AVX512-BF16, AMX), and reads a document faster in fp32"
        warn(LongsumWarning(f"fast has no effect: {why}"))
        return None
    return "int8"


def record_steps(model: PreTrainedModel, fast: bool) -> None:
    """Have a loaded model record its decoding step as a CUDA graph, if ``fast`` was asked for and it lies on one."""
    if fast and model.device.type == "cuda" and hasattr(model, "records_steps"):
        setattr(model, "records_steps", True)  # noqa: B010 - a module's type says that it holds tensors only


def choose_compute_dtype(dtype: torch.dtype, device: torch.device, entry: ModelType) -> torch.dtype:
    """Return the format in which products with 4-bit weights are computed; the weights' own where that is fast.

    A GPU without bf16 of its own (a T4) takes fp16 instead, or fp32 for models whose activations leave the range of
    fp16. A CPU takes fp32 instead of fp16, which it computes slowly.

    Args:
        dtype: Format of what is not quantized.
        device: From ``choose_device``.
        entry: The model's entry in ``MODEL_TYPES``.
    """
    import torch

    if device.type == "cpu":
        return torch.float32 if dtype == torch.float16 else dtype
    if device.type == "cuda" and dtype == torch.bfloat16:
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        if not native:
            return torch.float16 if entry.fp16_safe else torch.float32
    return dtype
