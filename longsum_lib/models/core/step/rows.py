"""The texts that are being written: their own keys and values, each at its own place, and whose document they read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from longsum_lib.models.core.step.documents import MOST_ROWS, DocumentKeys
from longsum_lib.upstream.torch import without_cudnn

if TYPE_CHECKING:
    from longsum_lib.models.core.step.decoder import StepDecoder


class Where(NamedTuple):
    """What a step asks about the rows' places once, for all layers.

    Args:
        place: where its keys go: one number if all rows are equally long, else rows and places, int64 ``(rows,)``.
        keys: how many keys the longest row has by then.
        scores: added to the scores of these keys, ``(rows | 1, heads | 1, 1, keys)``; ``None`` = all are seen.
    """

    place: int | tuple[Tensor, Tensor]
    keys: int
    scores: Tensor | None


class Rows:
    """Rows of tokens that are written together: beams of a document, several documents, or both.

    Each row is at its own position and reads its own document, whatever the others do. All keys and values of the
    rows lie in one buffer ``(layers, rows, 2, heads, capacity, head_dim)`` that doubles when a row reaches its end.

    Made by :meth:`.StepDecoder.open`.

    Attributes:
        positions: how many tokens each row has.
        documents: what each row reads.
    """

    def __init__(
        self, decoder: StepDecoder, documents: Sequence[DocumentKeys], capacity: int, most: int | None = None
    ) -> None:
        self._decoder, self._most = decoder, most
        self.documents = list(documents)
        self.positions = [0] * len(self.documents)
        self._bias = torch.empty(0)
        self._own = self._make(max(1, capacity))
        self._by_layer = self._own.unbind(0)
        self._group_documents()

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def capacity(self) -> int:
        """Tokens that a row can have before the buffer grows."""
        return self._own.shape[4]

    def step(self, tokens: Tensor) -> Tensor:
        """Write one token more in every row.

        Args:
            tokens: int64 ``(rows,)``, the last token of each row.

        Returns:
            Logits ``(rows, vocabulary)`` of the tokens that follow.

        Raises:
            IndexError: a row is longer than the model has positions; nothing has changed then.
        """
        if tokens.shape != (len(self),):
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected ({len(self)},): one a row")
        self.make_room()
        logits = self._decoder.step(tokens, self)
        self.positions = [position + 1 for position in self.positions]
        return logits

    def reorder(self, index: Tensor) -> None:
        """Follow chosen beams: row ``i`` becomes what row ``index[i]`` was. With fewer indices, rows are dropped.

        Args:
            index: int64 ``(new rows,)``.
        """
        chosen = index.tolist()
        moved = [row for row, source in enumerate(chosen) if row != source]
        if len(chosen) != len(self):
            self._own = self._own[:, index]
            self._by_layer = self._own.unbind(0)
        elif moved:
            most = max(self.positions, default=0)
            sources = [chosen[row] for row in moved]
            for own in self._by_layer:  # one by one: what moves exists twice
                own[moved, :, :, :most] = own[sources, :, :, :most]
        else:
            return
        self.positions = [self.positions[source] for source in chosen]
        self.documents = [self.documents[source] for source in chosen]
        self._group_documents()

    def replace(self, row: int, document: DocumentKeys) -> None:
        """Begin anew in one row, with another document; the other rows stay as they are."""
        self.positions[row] = 0
        self.documents[row] = document
        self._group_documents()

    def make_room(self) -> None:
        """See that every row can take one token more."""
        if max(self.positions, default=0) < self.capacity:
            return
        old = self._own
        wanted = 2 * self.capacity
        self._own = self._make(wanted if self._most is None else max(min(wanted, self._most), self.capacity + 1))
        self._own[..., : old.shape[4], :] = old
        self._by_layer = self._own.unbind(0)

    def _make(self, capacity: int) -> Tensor:
        of = self._decoder.weights
        shape = (len(of.layers), len(self.documents), 2, of.heads, capacity, of.head_dim)
        # Buffers are written to in place; those made in inference mode could not be, outside of it.
        with torch.inference_mode(False):
            return torch.zeros(shape, dtype=of.dtype, device=of.device)

    def _group_documents(self) -> None:
        self._groups = _groups(self.documents)

    def places(self) -> Tensor:
        """Return the rows' positions, int64 ``(rows,)``."""
        return torch.tensor(self.positions, device=self._decoder.weights.device)

    def reach(self) -> int:
        """Return how many positions a step may ask for."""
        return max(self.positions, default=0) + 1

    def where(self) -> Where:
        """Return where this step's keys go and which keys each row sees."""
        of, first, most = self._decoder.weights, self.positions[0], max(self.positions)
        if of.distance_bias is not None and self._bias.shape[-1] < self.capacity:
            self._bias = of.distance_bias(self.capacity).to(of.dtype)  # (heads, capacity)
        if min(self.positions) == most:
            together = None if of.distance_bias is None else self._bias[:, : most + 1].flip(-1)[None, :, None]
            return Where(first, most + 1, together)
        places = torch.tensor(self.positions, device=of.device)
        scores = self._scores(places[:, None] - torch.arange(most + 1, device=of.device))
        return Where((torch.arange(len(self), device=of.device), places), most + 1, scores)

    def _scores(self, distance: Tensor) -> Tensor:
        """Scores ``(rows, heads | 1, 1, keys)`` of keys that lie so many tokens back, ``(rows, keys)``."""
        of = self._decoder.weights
        scores = torch.zeros(distance.shape, dtype=of.dtype, device=of.device)
        scores = scores.masked_fill_(distance < 0, -torch.inf)[:, None, None]
        if of.distance_bias is None:
            return scores
        return self._bias[:, distance.clamp(min=0)].transpose(0, 1)[:, :, None] + scores

    def attend_own(self, layer: int, joint: Tensor, where: Where, scale: float) -> Tensor:
        """Keep a step's keys and values and attend from its queries to each row's own tokens.

        Args:
            layer: number of the layer.
            joint: query, key and value ``(rows, 3, heads, dim)``.
            where: of :meth:`where`.
            scale: factor of the scores.

        Returns:
            ``(rows, heads, 1, dim)``.
        """
        own = self._by_layer[layer]
        if isinstance(where.place, int):
            own[:, :, :, where.place] = joint[:, 1:]
        else:
            rows, places = where.place
            own[rows, :, :, places] = joint[:, 1:]
        key, value = own[:, 0, :, : where.keys], own[:, 1, :, : where.keys]
        with without_cudnn(key.device):
            return F.scaled_dot_product_attention(joint[:, 0, :, None], key, value, where.scores, scale=scale)

    def attend_documents(self, layer: int, query: Tensor) -> Tensor:
        """Attend from ``(rows, heads, dim)`` to each row's document; ``(rows, heads · dim)``."""
        if len(self._groups) == 1:
            return self._groups[0][2].attend(layer, query).flatten(1)
        return torch.cat([document.attend(layer, query[a:b]) for a, b, document in self._groups]).flatten(1)

    def own_keys(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return copies of a layer's keys and values ``(rows, heads, tokens, dim)``; all rows must be equally long."""
        own = self._own[layer][:, :, :, : self.positions[0]]
        return own[:, 0].clone(), own[:, 1].clone()


def _groups(documents: Sequence[DocumentKeys]) -> list[tuple[int, int, DocumentKeys]]:
    """First and end of the runs of rows that read the same document."""
    runs, first = [], 0
    for _, run in groupby(documents, key=id):
        end = first + len(list(run))
        runs += [(a, min(a + MOST_ROWS, end), documents[first]) for a in range(first, end, MOST_ROWS)]
        first = end
    return runs
