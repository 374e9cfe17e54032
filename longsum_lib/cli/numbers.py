"""Numbers of a command line, read so that a wrong one is refused with what was expected.

Each function returns what argparse calls as ``type=``; argparse adds the option's name to the message.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

MOST = 2**31 - 1
"""The largest whole number that an option takes unless it says otherwise: it fits every library underneath."""


def whole_number(least: int, most: int = MOST) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``least`` to ``most``.

    Example:
        >>> whole_number(1)("12")
        12
    """

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{_short(text)} is not a whole number of at least {least:,}") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{_short(text)} is not a whole number of at least {least:,}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{_short(text)} is too large, expected at most {most:,}")
        return value

    return parse


def positive(below: float = math.inf, *, zero: bool = False) -> Callable[[str], float]:
    """Return a reader of finite numbers above 0 and below ``below``; with ``zero`` also of 0 itself.

    Example:
        >>> positive()("1e-3")
        0.001
    """
    expected = f"a number {'of at least' if zero else 'above'} 0" + (
        "" if below == math.inf else f" and below {below:g}"
    )

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and (value > 0 or (zero and value == 0)) and value < below):
            raise argparse.ArgumentTypeError(f"{_short(text)} is not {expected}")
        return value

    return parse


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
