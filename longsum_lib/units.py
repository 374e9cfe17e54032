"""How sizes and number formats are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DTYPE_NAMES = {
    "fp32": "float32",
    "float32": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "float16": "float16",
}
"""What the user may write for a number format, and torch's name for it. ``auto`` chooses."""


def short_name(dtype: torch.dtype | str) -> str:
    """Return ``fp32`` for ``torch.float32``, whether it is the dtype or a name of it, and so on."""
    name = str(dtype).removeprefix("torch.")
    return next((short for short, long in DTYPE_NAMES.items() if long == name), name)


def gib(size: float) -> str:
    """Return a size in bytes as text in GiB or MiB.

    Example:
        >>> gib(3 * 2**30), gib(200 * 2**20)
        ('3.0 GiB', '200 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
