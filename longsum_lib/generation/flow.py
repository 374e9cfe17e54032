"""From documents to summaries as they come: what the model reads of each, and when a summary is complete.

What is done with one document is written down once, as a generator that asks for texts about token ids and is given
them: a document that is read in parts asks for theirs, then for one about their joined summaries. Whose turn it is, the
writer's loop decides; documents, and parts of documents, are written together.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from longsum_lib.errors import DocumentTooLong, Option, OptionError
from longsum_lib.generation.choose import extract_to_fit
from longsum_lib.generation.lengths import LARGE
from longsum_lib.generation.splitting import split_text
from longsum_lib.generation.summary import Summary

if TYPE_CHECKING:
    from longsum_lib.generation.writer import Writer, Written

Name = TypeVar("Name")
"""What a caller calls a document."""

Asking = Generator[list[list[int]], "list[Written]", Summary]
"""A document on its way: asks for texts about token ids, is sent them, and returns its summary."""

Counted = tuple[list[int], int]
"""Token ids of a text and their number; no ids of a very long one that the model does not take whole."""

TakeDocument = Callable[[], "tuple[Name, str, Counted | None] | None"]
"""Gives the next document: its name, its text, and its ids where they are known; None where none is there now."""


def count_document(writer: Writer, text: str, how: str | None, which: str = "the document") -> Counted:
    """Encode a document as far as it may be read.

    Raises:
        DocumentTooLong: It is too long, and ``how`` does not say what to do.
    """
    writer.check_length(text, which, how is not None)
    ids: list[int] = []
    length = writer.count([text])[0] if writer.limit is not None and len(text) > LARGE else 0
    if writer.limit is None or length <= writer.limit:
        (ids,) = writer.encode([text])
        length = len(ids)
    if writer.limit is not None and length > writer.limit and how is None:
        raise DocumentTooLong(length, writer.limit, writer.name, which)
    return ids, length


def read_document_ids(writer: Writer, text: str, counted: Counted | None, how: str | None) -> Asking:
    """Summarize one document.

    Args:
        writer: The model.
        text: The document.
        counted: Its token ids and their number; None counts them here.
        how: What to do if it is too long: ``"truncate"``, ``"split"``, ``"extract_first"``; None refuses it.

    Raises:
        DocumentTooLong: It is, and ``how`` does not say what to do.
        OptionError: The parts' summaries are no shorter than the text.
    """
    ids, length = count_document(writer, text, how) if counted is None else counted
    truncated = extracted = 0
    if writer.limit is not None and length > writer.limit:
        if how == "split":
            return (yield from _parts(writer, text, length, writer.limit))
        if how == "truncate":
            (ids,) = writer.encode([text], limit=writer.limit)
            truncated = length - len(ids)
        else:
            shorter, extracted = extract_to_fit(text, length, writer.limit, writer.count)
            (ids,) = writer.encode([shorter])
    (written,) = yield [ids]
    return _summary(writer, written, length, truncated=truncated, extracted=extracted)


def _parts(writer: Writer, text: str, length: int, limit: int) -> Asking:
    """Summarize the parts of a text, then the joined summaries, in parts again if they are still too long."""
    parts = split_text(text, limit, writer.count)
    written = yield writer.encode(parts)
    part_summaries = tuple(part.text for part in written)
    joined = "\n\n".join(filter(None, part_summaries))
    (joined_length,) = writer.count([joined])
    if joined_length >= length:
        raise OptionError(
            f"splitting does not make the text shorter: the {len(parts)} summaries have {joined_length:,} "
            f"tokens, the text {length:,}; lower ",
            Option("max_new_tokens"),
        )
    if joined_length > limit:
        final = yield from _parts(writer, joined, joined_length, limit)
        return dataclasses.replace(final, input_tokens=length, parts=len(parts), part_summaries=part_summaries)
    (last,) = (yield writer.encode([joined])) if joined else written[:1]
    return _summary(writer, last, length, parts=len(parts), part_summaries=part_summaries)


def _summary(
    writer: Writer,
    written: Written,
    length: int,
    *,
    truncated: int = 0,
    extracted: int = 0,
    parts: int = 1,
    part_summaries: tuple[str, ...] = (),
) -> Summary:
    return Summary(
        text=written.text,
        input_tokens=length,
        summary_tokens=written.tokens,
        truncated=truncated,
        parts=parts,
        part_summaries=part_summaries,
        complete=written.complete,
        model=writer.name,
        extracted=extracted,
        score=written.score,
        settings_from=writer.settings_from,
    )


@dataclasses.dataclass
class _OnItsWay(Generic[Name]):
    """A document whose texts are being written."""

    name: Name
    asking: Asking
    started: float
    written: list[Written | None] = dataclasses.field(default_factory=list)
    missing: int = 0
    parts: int = 1
    joined: bool = False


class Flow(Generic[Name]):
    """Summarize documents as they come, with one model.

    Args:
        writer: The model.
        how: What to do with documents that are too long.
    """

    def __init__(self, writer: Writer, how: str | None) -> None:
        self._writer, self._how = writer, how
        self._ready: collections.deque[tuple[int, int, list[int]]] = collections.deque()
        self._on_its_way: dict[int, _OnItsWay[Name]] = {}
        self._done: collections.deque[tuple[Name, Summary | Exception]] = collections.deque()
        self._count = 0

    def run(self, take: TakeDocument[Name]) -> Iterator[tuple[Name, Summary | Exception]]:
        """Summarize documents until none is there and none is on its way.

        Args:
            take: Gives the next document.

        Yields:
            Each document's name with its summary, or with the error that it met, in the order in which they are done.
        """

        def next_ids() -> tuple[tuple[int, int], list[int]] | None:
            while not self._ready:
                found = take()
                if found is None:
                    return None
                self._begin(*found)
            number, part, ids = self._ready.popleft()
            document = self._on_its_way[number]
            parts = document.parts
            self._writer.show_part(0 if document.joined else part + 1, parts)
            return (number, part), ids

        for (number, part), result in self._writer.write_each(next_ids):
            self._give(number, part, result)
            while self._done:
                yield self._done.popleft()
        while self._done:
            yield self._done.popleft()

    def _begin(self, name: Name, text: str, counted: Counted | None) -> None:
        asking = read_document_ids(self._writer, text, counted, self._how)
        self._on_its_way[self._count] = _OnItsWay(name, asking, time.perf_counter())
        self._go_on(self._count, None)
        self._count += 1

    def _give(self, number: int, part: int, result: Written | Exception) -> None:
        """Hand a document one of the texts that it asked for."""
        document = self._on_its_way.get(number)
        if document is None:  # another part of it has failed
            return
        if isinstance(result, Exception):
            self._end(number, result)
            return
        document.written[part] = result
        document.missing -= 1
        if not document.missing:
            self._go_on(number, [one for one in document.written if one is not None])

    def _go_on(self, number: int, written: list[Written] | None) -> None:
        document = self._on_its_way[number]
        try:
            asked = next(document.asking) if written is None else document.asking.send(written)
        except StopIteration as ended:
            seconds = time.perf_counter() - document.started
            self._end(number, dataclasses.replace(ended.value, seconds=seconds))
        except Exception as error:  # it is the document's, and is handed to whoever wants its summary
            self._end(number, error)
        else:
            document.written, document.missing = [None] * len(asked), len(asked)
            document.joined = written is not None and len(asked) == 1
            document.parts = max(document.parts, len(asked))
            # Parts come before the next documents, or a long queue would hold them all half done.
            self._ready.extendleft((number, part, ids) for part, ids in reversed(list(enumerate(asked))))

    def _end(self, number: int, result: Summary | Exception) -> None:
        self._done.append((self._on_its_way.pop(number).name, result))


def summarize_in_order(writer: Writer, documents: Sequence[tuple[str, Counted]], how: str | None) -> list[Summary]:
    """Summarize texts whose token ids are known; the first error that one meets is raised.

    Returns:
        The summaries, in the texts' order.
    """
    waiting = ((number, text, counted) for number, (text, counted) in enumerate(documents))
    found: dict[int, Summary] = {}
    flow: Flow[int] = Flow(writer, how)
    for number, result in flow.run(lambda: next(waiting, None)):
        if isinstance(result, Exception):
            raise result
        found[number] = result
    return [found[number] for number in range(len(documents))]
