"""What masks say, looked up once for all layers of an encoder.

The engine chooses its calls by where masks are true. To learn that, the processor waits until a GPU has done all that
it was given; with each layer asking anew, a GPU would run dry in every layer. While an encoder runs its layers, they
share what was found.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from torch import Tensor

from longsum_lib.upstream.torch import tracing, transforming

Found = TypeVar("Found")


class _Facts:
    """Answers by question, and where in memory the tensors lie that are among them."""

    def __init__(self) -> None:
        self.answers: dict[Hashable, tuple[tuple[Tensor | None, ...], Any]] = {}
        self.places: list[tuple[int, int]] = []

    def keep(self, key: Hashable, masks: tuple[Tensor | None, ...], found: Any) -> None:
        self.answers[key] = masks, found  # a mask that is kept keeps its place in memory: no other can take it
        for one in found if isinstance(found, tuple) else (found,):
            if isinstance(one, Tensor) and not one.is_meta:
                self.places.append((one.data_ptr(), one.data_ptr() + one.nbytes))


_kept = threading.local()


def _now() -> _Facts | None:
    facts: _Facts | None = getattr(_kept, "facts", None)
    return facts


@contextlib.contextmanager
def shared_facts() -> Iterator[None]:
    """Within it, what :func:`fact` has found about a mask holds for as long as the mask is not changed."""
    before = _now()
    _kept.facts = before or _Facts()
    try:
        yield
    finally:
        _kept.facts = before


def fact(what: Hashable, masks: tuple[Tensor | None, ...], find: Callable[[], Found]) -> Found:
    """Return what ``find`` finds about some masks; within :func:`shared_facts` it is asked once.

    Args:
        what: names the question, with all that the answer depends on beside the masks.
        masks: what is asked about. Two views of the same numbers are one mask.
        find: answers it; from nothing but ``what`` and ``masks``.

    Returns:
        The answer, which nobody may change.

    Cost:
        within :func:`shared_facts` masks and answers are kept until its end.
    """
    facts = _now()
    if facts is None or tracing() or transforming() or any(mask is not None and mask.is_meta for mask in masks):
        return find()
    key = (what, *(_identity(mask) for mask in masks))
    if key not in facts.answers:
        facts.keep(key, masks, find())
    answer: Found = facts.answers[key][1]
    return answer


def fact_of_lasting(what: Hashable, mask: Tensor, find: Callable[[], Found]) -> Found:
    """Do what :func:`fact` does for a mask that is part of an earlier answer; other masks will hardly come again."""
    facts = _now()
    lasts = facts is not None and not mask.is_meta and any(a <= mask.data_ptr() < b for a, b in facts.places)
    return fact(what, (mask,), find) if lasts else find()


def _identity(mask: Tensor | None) -> Hashable:
    if mask is None:
        return None
    version = None if mask.is_inference() else mask._version  # of what inference mode makes torch counts no changes
    return mask.data_ptr(), mask.shape, mask.stride(), mask.dtype, mask.device, version
