"""The invented world of the corpus: word lists, names and numbers that are held out of the training split.

Everything that can be read as text lies in ``longsum_lib/data/world.json``; this module only draws from it.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

DATA = Path(__file__).resolve().parent.parent / "data"
SPLITS = ("train", "test")
# One name or number in five belongs to the test split, by a checksum of its spelling.
HELD_OUT_MODULUS = 5

Item = TypeVar("Item")


@lru_cache(maxsize=1)
def world() -> dict[str, Any]:
    """Word lists and sentence templates, read once from ``data/world.json``."""
    read: dict[str, Any] = json.loads((DATA / "world.json").read_text(encoding="utf-8"))
    return read


def pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """One item, by ``random()`` alone, whose stream Python promises to keep from version to version."""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Sequence[Item]) -> list[Item]:
    """A new list with the items in random order, by ``random()`` alone (see ``pick``)."""
    keyed = [(rng.random(), index) for index in range(len(items))]
    return [items[index] for _, index in sorted(keyed)]


def is_held_out(value: str) -> bool:
    """Whether a name or a number belongs to the test split.

    Args:
        value: A name such as ``"Kelavara"`` or a number in digits.

    Returns:
        ``True`` for the test split; the answer is the same on every machine.
    """
    return zlib.crc32(value.encode("utf-8")) % HELD_OUT_MODULUS == 0


def _draw_until(rng: random.Random, split: str, draw: Callable[[random.Random], str]) -> str:
    """Draw until the value belongs to the split."""
    while True:
        value = draw(rng)
        if is_held_out(value) == (split == "test"):
            return value


def _any_name(rng: random.Random) -> str:
    syllables: dict[str, list[str]] = world()["syllables"]
    middle = pick(rng, syllables["middle"]) if rng.random() < 0.6 else ""
    return pick(rng, syllables["first"]) + middle + pick(rng, syllables["last"])


def draw_name(rng: random.Random, split: str) -> str:
    """An invented name of two or three syllables whose combination belongs to the split."""
    return _draw_until(rng, split, _any_name)


def draw_number(rng: random.Random, split: str, low: int, high: int) -> str:
    """A whole number in ``[low, high)`` that belongs to the split, in digits."""
    return _draw_until(rng, split, lambda r: str(low + int(r.random() * (high - low))))


def draw_value(rng: random.Random, split: str, kind: str) -> str:
    """A value for a slot.

    Args:
        rng: Source of randomness.
        split: ``"train"`` or ``"test"``.
        kind: ``"name"``, ``"number2"``, ``"number3"``, ``"number4"``, ``"date"`` or ``"finding"``.

    Returns:
        The value as it stands in the text.
    """
    if kind == "name":
        return draw_name(rng, split)
    if kind == "number2":
        return draw_number(rng, split, 12, 100)
    if kind == "number3":
        return draw_number(rng, split, 100, 400)
    if kind == "number4":
        return draw_number(rng, split, 1000, 10000)
    if kind == "date":
        return f"{pick(rng, world()['months'])} {draw_number(rng, split, 1850, 1970)}"
    if kind == "finding":  # a closed list: the same words in both splits
        findings: list[str] = world()["findings"]
        return pick(rng, findings)
    raise ValueError(f"unknown kind of value {kind!r}")
