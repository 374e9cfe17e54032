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

import torch
from torch import Tensor

from longsum_lib.upstream.torch import tracing, transforming

Found = TypeVar("Found")

MOST_BYTES = 2**22
"""Larger answers are found anew each time."""
MOST_TOGETHER = 2**24
"""So many bytes of answers are kept together."""


class _Facts:
    """Answers by question, and where in memory the tensors lie that are among them."""

    def __init__(self) -> None:
        self.answers: dict[Hashable, tuple[tuple[Tensor | None, ...], Any]] = {}
        self.places: list[tuple[int, int]] = []
        self.bytes = 0

    def keep(self, key: Hashable, masks: tuple[Tensor | None, ...], found: Any) -> None:
        tensors = [one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, Tensor)]
        size = sum(one.nbytes for one in tensors)
        if size > MOST_BYTES or self.bytes + size > MOST_TOGETHER:
            return
        self.bytes += size
        self.answers[key] = masks, found  # a mask that is kept keeps its place in memory: no other can take it
        self.places += [(one.data_ptr(), one.data_ptr() + one.nbytes) for one in tensors]

    def holds(self, mask: Tensor) -> bool:
        """Tell whether a mask is part of an answer, which nobody changes."""
        return any(first <= mask.data_ptr() < end for first, end in self.places)

    def knows(self, mask: Tensor | None) -> bool:
        """Tell whether a mask can be told from any other, and a change of it be seen."""
        if mask is None:
            return True
        if mask.is_meta or (mask.numel() and not mask.data_ptr()):  # wrappers have no numbers of their own
            return False
        return not mask.is_inference() or self.holds(mask)  # torch counts no changes of what inference mode makes


_kept = threading.local()


def _now() -> _Facts | None:
    facts: _Facts | None = getattr(_kept, "facts", None)
    return facts


@contextlib.contextmanager
def shared_facts() -> Iterator[None]:
    """Within it, what :func:`fact` has found about a mask holds for as long as the mask is not changed.

    A change is seen if it is made through torch, not through ``numpy`` or ``data``. Within another one it begins anew.
    """
    before, _kept.facts = _now(), _Facts()
    try:
        yield
    finally:
        _kept.facts = before


def fact(what: Hashable, masks: tuple[Tensor | None, ...], find: Callable[[], Found]) -> Found:
    """Return what ``find`` finds about some masks; within :func:`shared_facts` it is asked once.

    Args:
        what: names the question, with all that the answer depends on beside the masks.
        masks: what is asked about. Two views of the same numbers are one mask. A tensor made in inference mode is
            asked about anew, unless it is itself an answer: see :func:`counting_changes`.
        find: answers it; from nothing but ``what`` and ``masks``.

    Returns:
        The answer, which nobody may change.

    Cost:
        within :func:`shared_facts` masks and answers are kept until its end, answers of 16 MiB together at most.
    """
    facts = _now()
    if facts is None or tracing() or transforming() or not all(facts.knows(mask) for mask in masks):
        return find()
    key = (what, torch.is_inference_mode_enabled(), *(_identity(mask) for mask in masks))
    if key not in facts.answers:
        found = find()
        facts.keep(key, masks, found)
        return found
    answer: Found = facts.answers[key][1]
    return answer


def fact_of_lasting(what: Hashable, mask: Tensor, find: Callable[[], Found]) -> Found:
    """Do what :func:`fact` does for a mask that is part of an earlier answer; other masks will hardly come again."""
    facts = _now()
    lasts = facts is not None and not mask.is_meta and facts.holds(mask)
    return fact(what, (mask,), find) if lasts else find()


def counting_changes(one: object) -> object:
    """Return a tensor of inference mode as one whose changes torch counts, a copy; anything else as it is."""
    if not isinstance(one, Tensor) or not one.is_inference():
        return one
    with torch.inference_mode(False):
        return one.clone()


def _identity(mask: Tensor | None) -> Hashable:
    if mask is None:
        return None
    version = None if mask.is_inference() else mask._version
    return mask.data_ptr(), mask.shape, mask.stride(), mask.dtype, mask.device, version
