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

_kept = threading.local()


@contextlib.contextmanager
def shared_facts() -> Iterator[None]:
    """Within it, what :func:`fact` has found about a mask holds for as long as the mask is not changed."""
    before = getattr(_kept, "facts", None)
    _kept.facts = {} if before is None else before
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
    facts: dict[Hashable, Any] | None = getattr(_kept, "facts", None)
    if facts is None or tracing() or transforming() or any(mask is not None and mask.is_meta for mask in masks):
        return find()
    key = (what, *(_identity(mask) for mask in masks))
    if key not in facts:
        facts[key] = (masks, find())  # a mask that is kept keeps its place in memory: no other can take it
    answer: Found = facts[key][1]
    return answer


def _identity(mask: Tensor | None) -> Hashable:
    if mask is None:
        return None
    version = None if mask.is_inference() else mask._version  # of what inference mode makes torch counts no changes
    return mask.data_ptr(), mask.shape, mask.stride(), mask.dtype, mask.device, version
