"""Evaluation of a model: generate, keep each summary, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from longsum_lib.datasets import Example, Source
from longsum_lib.errors import OptionError
from longsum_lib.evaluation.baselines import LEAD_SENTENCES
from longsum_lib.evaluation.scores import score_all
from longsum_lib.evaluation.store import SummaryStore

if TYPE_CHECKING:
    from longsum_lib.generation.writer import Writer

FIRST_SEED = 1000
"""Seed of the first document of the corpus; the bundled documents use 0, 1 and 2."""


@dataclass(frozen=True)
class Generated:
    """What a model wrote about one document.

    Attributes:
        text: The summary.
        tokens: Its length in tokens.
        complete: Whether the model ended it by itself.
        input_tokens: Length of the document in tokens.
        truncated: How many tokens at the document's end were not read.
    """

    text: str
    tokens: int
    complete: bool
    input_tokens: int
    truncated: int


def generate_summaries(
    model: Any,
    tokenizer: Any,
    texts: Iterable[str],
    *,
    batch_size: int = 1,
    max_input_tokens: int | None = None,
    **options: Any,
) -> Iterator[Generated]:
    """Summaries by ``generate``, the first token of every document global where the model has global tokens.

    A document longer than the model takes is cut at its end, as the papers do; ``truncated`` says by how much.

    Args:
        model: A sequence-to-sequence model.
        tokenizer: Its tokenizer.
        texts: The documents; they are read as they are needed.
        batch_size: Documents that are summarized at a time. The summaries are the same in fp32.
        max_input_tokens: Read no more of a document than this; None reads as much as the model takes.
        options: For ``generate``: ``num_beams``, ``max_new_tokens``, ... None takes the checkpoint's own.

    Yields:
        One for each text, in order; those of a batch after one another.
    """
    writer = _writer(model, tokenizer, batch_size, options)
    limits = [limit for limit in (max_input_tokens, writer.limit) if limit]
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == batch_size:
            yield from _write(writer, batch, min(limits, default=None))
            batch = []
    if batch:
        yield from _write(writer, batch, min(limits, default=None))


def _writer(model: Any, tokenizer: Any, batch_size: int, options: dict[str, Any]) -> Writer:
    from longsum_lib.generation.options import settle
    from longsum_lib.generation.writer import Options, Writer

    if batch_size < 1:
        raise OptionError(option="batch_size", got=batch_size, expected="at least 1")
    writing = settle(options, owner="evaluate")
    return Writer(model, tokenizer, model.name_or_path or type(model).__name__, Options(writing, batch_size))


def _write(writer: Writer, texts: Sequence[str], limit: int | None) -> Iterator[Generated]:
    documents = writer.encode(texts)
    lengths = [len(ids) for ids in documents]
    if limit is not None and max(lengths) > limit:
        documents = writer.encode(texts, limit=limit)
    model, training = writer.model, writer.model.training
    model.eval()
    try:
        written = writer.write(documents)
    finally:
        model.train(training)
    for summary, ids, length in zip(written, documents, lengths, strict=True):
        yield Generated(summary.text, summary.tokens, summary.complete, length, length - len(ids))


def evaluate(
    model: Any,
    tokenizer: Any,
    *,
    source: Source | None = None,
    length: int = 4096,
    limit: int | None = 50,
    split: str = "test",
    first_seed: int = FIRST_SEED,
    batch_size: int = 1,
    max_input_tokens: int | None = None,
    baselines: bool = True,
    lead_sentences: int = LEAD_SENTENCES,
    store: SummaryStore | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Score a model on documents that it has not seen.

    Args:
        model: A sequence-to-sequence model.
        tokenizer: Its tokenizer; the corpus's documents are as long as asked for by the bundled one.
        source: Where the documents come from; None takes the corpus, with ``length``, ``split`` and ``first_seed``.
        length: Tokens of each document of the corpus, at most.
        limit: Documents; None reads a data set to its end.
        split: ``"test"`` for names and numbers that training never showed.
        first_seed: Seed of the corpus's first document.
        batch_size: Documents that are summarized at a time.
        max_input_tokens: Read no more of a document than this.
        baselines: Score the references, the first sentences, an extract and the extractive oracle too.
        lead_sentences: How many first sentences, and sentences of the extract.
        store: Keeps the summaries; those that it has are not generated again.
        progress: Called with ``"writing"`` or ``"scoring"``, the number of documents done, and ``limit``.
        options: For ``generate``; None takes the checkpoint's own.

    Returns:
        The scores as plain numbers. ``seconds`` is the time of the summaries alone. ``rouge`` is None if
        ``rouge-score`` is not installed.

    Cost:
        Memory for the texts of all documents, and for one batch in the model.
    """
    source = source or Source(length=length, split=split, first_seed=first_seed)
    store = SummaryStore(None, {}) if store is None else store
    beams = options.get("num_beams") or model.generation_config.num_beams or 1
    options = {name: value for name, value in options.items() if value is not None} | {"num_beams": beams}
    examples, records = [], []
    tick = progress or (lambda *_: None)
    write = partial(
        generate_summaries, model, tokenizer, batch_size=batch_size, max_input_tokens=max_input_tokens, **options
    )
    for example, record in _run(source, limit, store, write, batch_size):
        examples.append(example)
        records.append(record)
        tick("writing", len(records), limit)
    if not examples:
        raise OptionError(f"{source.name} has no documents")
    report = source.describe() | {"documents": len(examples), "options": options}
    report["seconds"] = round(sum(record["seconds"] for record in records), 1)
    report["truncated"] = sum(record["truncated"] > 0 for record in records)
    report["unfinished"] = sum(not record["complete"] for record in records)
    if max_input_tokens is not None:
        report["max_input_tokens"] = max_input_tokens
    return report | score_all(
        examples,
        [record["text"] for record in records],
        baselines=baselines,
        lead_sentences=lead_sentences,
        progress=lambda done: tick("scoring", done, len(examples)),
    )


def _run(
    source: Source, limit: int | None, store: SummaryStore, write: Callable[..., Iterable[Generated]], batch_size: int
) -> Iterator[tuple[Example, dict[str, Any]]]:
    """Each example with the record of its summary, from the store or new."""
    waiting: list[tuple[int, Example]] = []

    def flush() -> Iterator[tuple[Example, dict[str, Any]]]:
        start = time.perf_counter()
        summaries = list(write([example.text for _, example in waiting]))
        seconds = round((time.perf_counter() - start) / len(waiting), 3)
        for (index, example), summary in zip(waiting, summaries, strict=True):
            record = vars(summary) | {"seconds": seconds}
            store.add(source.title, index, example.text, record)
            yield example, record
        waiting.clear()

    for index, example in enumerate(source.examples(limit)):
        record = store.get(source.title, index, example.text)
        if record is None:
            waiting.append((index, example))
        if waiting and (record is not None or len(waiting) == batch_size):
            yield from flush()
        if record is not None:
            yield example, record
    if waiting:
        yield from flush()
