"""The loop that writes many texts together: one step gives every row its next token, whoever's document it reads.

A document is encoded when there is room for it, alone and without padding; its text takes rows of the batch, and when
it is done, the next document takes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from longsum_lib.generation.batches.prepare import Prepared, Unsupported
from longsum_lib.generation.batches.texts import BeamText, GreedyText, new_text

if TYPE_CHECKING:
    from longsum_lib.generation.batches.room import Room
    from longsum_lib.models.core.step.decoder import StepDecoder
    from longsum_lib.models.core.step.documents import DocumentKeys
    from longsum_lib.models.core.step.rows import Rows

Name = TypeVar("Name")
"""What a caller calls a document."""

Take = Callable[[], "tuple[Name, list[int]] | None"]
"""Gives the next document, as a name and token ids, or None where none is there now."""

FIRST_CAPACITY = 64  # tokens; the buffers double when a text is longer


@dataclasses.dataclass(frozen=True)
class Finished:
    """A text that is done.

    Attributes:
        ids: Its tokens, the start token first.
        score: The mean log-probability of a token; of beams the sum over the length to the power of the penalty.
    """

    ids: list[int]
    score: float


class Loop(Generic[Name]):
    """Write texts about documents as they come.

    Args:
        decoder: The model's decoder as a step.
        room: Says how many documents fit.
        encode: Encodes one document of token ids.
        stepped: Called after every step with the longest text's number of tokens.
    """

    def __init__(
        self,
        decoder: StepDecoder,
        room: Room,
        encode: Callable[[list[int]], Prepared],
        stepped: Callable[[int], None] | None = None,
    ) -> None:
        self._decoder, self._room, self._encode, self._stepped = decoder, room, encode, stepped
        self._texts: list[tuple[int, Name, GreedyText | BeamText]] = []
        self._rows: Rows | None = None
        self._count = 0

    def run(self, take: Take[Name]) -> Iterator[tuple[Name, Finished | Exception]]:
        """Write a text about each document.

        Args:
            take: Gives the next document when there is room for one, as a name and token ids, or None where none is
                there now. It is asked again after every step, and the loop ends when it has none and no text is left.

        Yields:
            Each name with its text, or with the error that its document met, in the order in which they are done.

        Raises:
            Unsupported: The options are for another loop; nothing was yielded then.
        """
        following = take()
        while following is not None or self._texts:
            while following is not None and self._room.fits(len(following[1])):
                error = self._come_in(*following)
                if error is not None:
                    yield following[0], error
                following = take()
            if self._texts:
                yield from self._step()
            following = following or take()

    @torch.inference_mode()
    def _come_in(self, name: Name, ids: list[int]) -> Exception | None:
        """Encode a document and give its text rows; return what went wrong."""
        try:
            prepared = self._encode(ids)
        except Unsupported:
            raise
        except Exception as error:  # a document that cannot be encoded costs itself
            return error
        text = new_text(prepared.rules)
        document = self._decoder.document(prepared.states, prepared.real, text.rows)
        self._room.take(self._count, len(ids))
        self._texts.append((self._count, name, text))
        self._count += 1
        self._open(document, text.rows)
        return None

    def _open(self, document: DocumentKeys, rows: int) -> None:
        """Add rows behind those that are there."""
        if self._rows is None or not len(self._rows):
            self._rows = self._decoder.open([document] * rows, FIRST_CAPACITY)
            return
        before = len(self._rows)
        self._rows.reorder(torch.tensor([*range(before), *[0] * rows]))
        for row in range(before, before + rows):
            self._rows.replace(row, document)

    def _step(self) -> list[tuple[Name, Finished]]:
        """Write one token more in every text; return those that are done."""
        self._write()
        if self._stepped is not None:
            self._stepped(max(text.length for _, _, text in self._texts))
        done = [one for one in self._texts if one[2].done]
        self._follow()
        for number, _, _ in done:
            self._room.leave(number)
        return [(name, Finished(*text.result())) for _, name, text in done]

    @torch.inference_mode()
    def _write(self) -> None:
        assert self._rows is not None  # there are texts
        tokens = [token for _, _, text in self._texts for token in text.tokens]
        logits = self._rows.step(torch.tensor(tokens, device=self._decoder.weights.device)).float()
        if isinstance(self._texts[0][2], GreedyText):
            self._greedy(logits)
        else:
            self._beams(logits)

    def _greedy(self, logits: Tensor) -> None:
        texts = [text for _, _, text in self._texts if isinstance(text, GreedyText)]
        scores = logits
        if any(text.rules.processors for text in texts):
            scores = torch.cat([text.processed(logits[row : row + 1].clone()) for row, text in enumerate(texts)])
        chosen = scores.argmax(-1)
        likely = logits.gather(-1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        for text, token, probability in zip(texts, *_lists(chosen, likely), strict=True):
            text.take(int(token), probability)

    def _beams(self, logits: Tensor) -> None:
        texts = [text for _, _, text in self._texts if isinstance(text, BeamText)]
        beams, vocabulary = texts[0].rows, logits.shape[-1]
        scores = logits.log_softmax(-1)
        if any(text.rules.processors for text in texts):
            scores = torch.cat([text.processed(part) for text, part in zip(texts, scores.split(beams), strict=True)])
        running = torch.tensor([text.scores for text in texts], device=scores.device)  # (texts, beams)
        sums = (scores.view(len(texts), beams, vocabulary) + running[:, :, None]).flatten(1)
        best, places = sums.topk(texts[0].candidates)
        for text, own, chosen in zip(texts, *_lists(best, places), strict=True):
            sources, tokens = zip(*(divmod(int(place), vocabulary) for place in chosen), strict=True)
            text.take(own, list(sources), list(tokens))

    @torch.inference_mode()
    def _follow(self) -> None:
        """Let the rows follow the chosen beams, and drop those of texts that are done."""
        assert self._rows is not None
        kept, first, moved = [], 0, False
        for _, _, text in self._texts:
            if not text.done:
                sources = text.sources if isinstance(text, BeamText) else [0]
                kept += [first + source for source in sources]
            first += text.rows
        moved = kept != list(range(first))
        self._texts = [one for one in self._texts if not one[2].done]
        if not kept:
            self._rows = None
        elif moved:
            self._rows.reorder(torch.tensor(kept))


def _lists(*tensors: Tensor) -> list[list[Any]]:
    """Return the numbers of tensors of one shape; integers may come as floats. A GPU is waited for once."""
    if tensors[0].device.type != "cuda":
        return [tensor.tolist() for tensor in tensors]
    return torch.stack([tensor.double() for tensor in tensors]).tolist()  # which holds them all exactly
