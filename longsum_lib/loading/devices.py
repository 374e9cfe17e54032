"""Which device and number format to use, and whether a model or a document fits into its memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from longsum_lib.errors import DeviceError, NotEnoughMemory, OptionError, did_you_mean

if TYPE_CHECKING:
    import torch

    from longsum_lib.loading.registry import ModelType

DTYPE_NAMES = {
    "fp32": "float32",
    "float32": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "float16": "float16",
}
"""What the user may write for a number format, and torch's name for it. ``auto`` chooses."""


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
    return f"cuda:{number}" if number.isascii() and number.isdigit() else device


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


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be allocated on a device, or None where nobody says.

    For the CPU that is the kernel's estimate, or less where a control group (a container) sets a limit.
    """
    import torch

    if device.type == "cuda":
        unused_cache = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused_cache
    if device.type != "cpu":
        return None
    known = [value for value in (_system_memory(), _container_memory()) if value is not None]
    return min(known, default=None)


def _system_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _container_memory() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # File pages in the cache count as used, but the kernel drops them when memory is asked for.
        return limit - used + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    except (OSError, ValueError):
        return None


def check_model_fits(name: str, needed: float, dtype: torch.dtype, device: torch.device) -> None:
    """Raise if a model's weights alone need more memory than is free.

    Linux hands out memory that it does not have and kills the process later, without a word; so this asks
    before.

    Args:
        name: The model's name.
        needed: Bytes of its weights.
        dtype: Format of the weights that are not quantized.
        device: Where they go.

    Raises:
        NotEnoughMemory: With the two sizes and what to do.
    """
    free = free_memory(device)
    if free is not None and needed > free:
        raise NotEnoughMemory(
            f"{name} needs {gib(needed)} for its weights in {short_name(dtype)}, {device} has {gib(free)} "
            "free; what helps: a smaller model, a shorter number format (bf16), quantized weights (nf4)"
        )


def document_memory(config: object, tokens: int, beams: int, batch: int, itemsize: int) -> int:
    """Estimate from below the memory in bytes to summarize a batch of documents, beyond the weights.

    While the encoder runs, that is at least its input, query, key, value and output; while the decoder runs, the
    encoder's output, the keys and values of cross-attention (one set a document, whatever the beams), and each
    beam's own cache, here of 256 tokens.

    Args:
        config: The model's config.
        tokens: Length of the longest document in the batch.
        beams: Number of beams.
        batch: Number of documents.
        itemsize: Bytes of one number.

    Example:
        >>> from transformers import LEDConfig
        >>> document_memory(LEDConfig(), tokens=16384, beams=1, batch=1, itemsize=4) // 2**20
        1624
    """
    width = getattr(config, "hidden_size", None) or config.d_model
    layers = getattr(config, "decoder_layers", None) or getattr(config, "num_decoder_layers", None) or 0
    encoder = 5 * tokens
    decoder = tokens + 2 * layers * (tokens + 256 * beams)
    return batch * max(encoder, decoder) * width * itemsize


def check_document_fits(model: object, tokens: int, beams: int, batch: int) -> None:
    """Raise if a batch of documents clearly needs more memory than is free.

    Raises:
        NotEnoughMemory: With the two sizes and what to do.
    """
    needed = document_memory(model.config, tokens, beams, batch, model.dtype.itemsize)
    free = free_memory(model.device)
    if free is not None and needed > free:
        raise NotEnoughMemory(f"{too_large(model, tokens, beams, batch)}; needed: {gib(needed)}, free: {gib(free)}")


def too_large(model: object, tokens: int, beams: int, batch: int) -> str:
    """Return the sentence that says that a batch does not fit, and what would help."""
    what = f"a document of {tokens:,} tokens" if batch == 1 else f"{batch} documents of up to {tokens:,} tokens"
    beam_text = f", {beams} beams" if beams > 1 else ""
    helps = ["shorter documents", "a smaller model"]
    helps[:0] = ["fewer beams"] if beams > 1 else []
    helps[:0] = ["a smaller batch"] if batch > 1 else []
    return (
        f"not enough memory on {model.device} for {what} ({short_name(model.dtype)}{beam_text}); "
        f"what helps: {', '.join(helps)}"
    )


def short_name(dtype: torch.dtype) -> str:
    """Return ``fp32`` for ``torch.float32``, and so on."""
    name = str(dtype).removeprefix("torch.")
    return next((short for short, long in DTYPE_NAMES.items() if long == name), name)


def gib(size: int) -> str:
    """Return a size in bytes as text in GiB or MiB.

    Example:
        >>> gib(3 * 2**30), gib(200 * 2**20)
        ('3.0 GiB', '200 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
