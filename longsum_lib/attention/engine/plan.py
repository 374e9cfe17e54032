"""What one attention computes, call by call: decided once a step, the same in forward and backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from longsum_lib.attention.engine.key_sets import Keys
from longsum_lib.attention.engine.pieces import ROWS_PER_CALL, Documents, Piece, most_rows, real_spans

# A kernel that stores scores is given so many of them at a time: 16 MiB stay near the processor's cache.
SCORES_PER_CALL = 2**22
SCORES_PER_CALL_ON_GPU = 2**26


class Call(NamedTuple):
    """One call of a kernel: of which set, which part of it, and whether some keys in between may not be seen."""

    which: int
    piece: Piece
    holes: bool


class Plan:
    """The kernel calls of one attention. It holds no keys and no values, so that autograd may keep it.

    Reading where the masks are true makes the processor wait for the device, so it is done here and not again.

    Args:
        query: ``(batch, heads, length, head_dim)``.
        sets: the key sets.
        attend: ``(batch, length)`` bool, which queries are real.
        documents: packed documents of each sequence.

    Attributes:
        layouts: of the sets.
        queries: span of the real queries of each sequence.
    """

    def __init__(
        self, query: Tensor, sets: Sequence[Keys], attend: Tensor | None, documents: Documents | None = None
    ) -> None:
        batch, self._heads, length, _ = query.shape
        self._scores = SCORES_PER_CALL if query.device.type == "cpu" else SCORES_PER_CALL_ON_GPU
        # Where there will be a backward pass: a call's gradients of keys take several times what the keys do.
        self._rows = ROWS_PER_CALL if torch.is_grad_enabled() else most_rows(query.device)
        self._documents = documents
        self.layouts = [keys.layout for keys in sets]
        self._asking = [keys.asking for keys in sets]
        self._biased = [keys.scores is not None for keys in sets]
        self._empty = [not keys.key.shape[1] for keys in sets]
        self._visible = [
            layout.visible(keys.attend, batch, keys.key.shape[2])
            for layout, keys in zip(self.layouts, sets, strict=True)
        ]
        self.queries = real_spans(attend, batch, length)
        self._calls: dict[tuple[bool, ...], list[list[Call]]] = {}

    def calls(self, stores_scores: Sequence[bool]) -> list[list[Call]]:
        """Return the calls of each sequence of the batch.

        Args:
            stores_scores: for each set, whether its kernel stores the scores: then fewer rows make a call. A backward
                pass that needs them for a learned bias, unlike the forward pass, has calls of its own.
        """
        key = tuple(stores_scores)
        if key not in self._calls:
            self._calls[key] = [list(self._of_sequence(number, key)) for number in range(len(self.queries))]
        return self._calls[key]

    def _of_sequence(self, batch: int, stores_scores: Sequence[bool]) -> Iterator[Call]:
        documents = (None,) if self._documents is None else self._documents.spans[batch]
        for document in documents:
            for index in range(len(self.layouts)):
                yield from self._of_set(batch, index, stores_scores[index], document)

    def _of_set(self, batch: int, index: int, stores_scores: bool, document: tuple[int, int] | None) -> Iterator[Call]:
        layout, asking = self.layouts[index], self._asking[index]
        if self._empty[index] or not layout.width:
            return
        visible, queries = self._visible[index][batch], self.queries[batch]
        if asking is not None:
            queries = queries.cut(*asking[batch])
        if document is not None and self._documents is not None:
            first, end = document
            visible = visible.cut(first, end)
            queries = queries.cut(first - self._documents.offset, end - self._documents.offset)
        rows = layout.rows_per_call or self._rows
        if stores_scores or (visible.holes and self._biased[index]):
            rows = min(rows, self._scores // (self._heads * layout.width))
        for piece in layout.pieces(queries, visible, rows):
            yield Call(index, piece, visible.holes)
