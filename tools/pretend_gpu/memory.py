"""Memory of the pretended GPU: what lives there, counted as torch's allocator hands it out."""

from __future__ import annotations

import weakref

from torch import Tensor

STEP = 512
"""Bytes: torch's CUDA allocator rounds every size up to a multiple of it."""


class Memory:
    """Bytes that tensors of the card hold, and the most they have held.

    What a kernel needs for itself is not counted, nor what the allocator keeps for later.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = self.peak = 0
        self._known: set[int] = set()

    def keep(self, tensor: Tensor) -> None:
        """Count a tensor's storage, once, for as long as it lives."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = -(-storage.nbytes() // STEP) * STEP
        self._known.add(key)
        self.taken += size
        self.peak = max(self.peak, self.taken)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.taken -= size
