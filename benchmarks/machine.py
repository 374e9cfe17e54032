"""What a result says about the machine: its parts, its versions, its rates. No names of hosts or users."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import time
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
PACKAGES = ("torch", "transformers", "numpy", "local-attention")


def describe() -> dict[str, object]:
    """Return processor, usable cores, instruction sets and memory.

    Virtual machines call several generations of a processor by one name, so its family and model stand beside it.
    """
    info = _read("/proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.+)$", info, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", info, re.M)
    numbers = [re.search(rf"^{field}\s*:\s*(\d+)$", info, re.M) for field in ("cpu family", "model")]
    known = set(flags[1].split()) if flags else set()
    total = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.M)
    return {
        "device": "cpu",
        "processor": name[1].strip() if name else platform.machine(),
        **({"generation": "family {}, model {}".format(*(n[1] for n in numbers if n))} if all(numbers) else {}),
        "cores": cores(),
        "instructions": [flag for flag in FLAGS if flag in known],
        "memory_gib": round(int(total[1]) / 2**20) if total else None,
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, this library and what it runs on."""
    from longsum_lib import __version__

    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # measured only where it is installed
            found[name] = importlib.metadata.version(name)
    return {"python": platform.python_version(), "longsum_lib": __version__, **found}


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def matmul_gflops(rounds: int = 5, size: int = 2048, dtype: str = "float32") -> float:
    """Return the best rate of square matrix products, two operations counted a multiply-add."""
    import torch

    left, right = torch.randn(2, size, size).to(getattr(torch, dtype))
    seconds = _best(lambda: left @ right, rounds)
    return 2 * size**3 / seconds / 1e9


def bandwidth_gb_s(rounds: int = 5, mebibytes: int = 256) -> float:
    """Return the best rate of copying a large tensor, bytes read and written."""
    import torch

    source = torch.ones(mebibytes * 2**18)
    target = torch.empty_like(source)
    return 2 * mebibytes * 2**20 / _best(lambda: target.copy_(source), rounds) / 1e9


def read_gb_s(rounds: int = 5, mebibytes: int = 256) -> float:
    """Return the best rate of reading a large tensor."""
    import torch

    source = torch.ones(mebibytes * 2**18)
    return mebibytes * 2**20 / _best(source.sum, rounds) / 1e9


def _best(function, rounds: int) -> float:
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).is_file() else ""
