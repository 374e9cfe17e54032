"""Summarize long documents: one call from text to summary.

>>> from longsum_lib import summarize
>>> summary = summarize(text, model="led-tiny")  # doctest: +SKIP
>>> print(summary.text)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Unpack, overload

from longsum_lib.errors import DocumentError, DocumentTooLong, LongsumWarning, OptionError, OutOfWorldWarning
from longsum_lib.generation.choose import (
    EXTRACT,
    check_extract_options,
    extract_to_fit,
    extracted,
    is_bundled,
    is_foreign,
    model_for,
    plain_texts,
)
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.extract import Passage
from longsum_lib.generation.invisible import remove_invisible
from longsum_lib.generation.lengths import LARGE
from longsum_lib.generation.options import settle
from longsum_lib.generation.splitting import split_text

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

    from longsum_lib.generation.keywords import SummarizeOptions
    from longsum_lib.generation.writer import Options, Writer, Written
    from longsum_lib.terminal import Progress

DEFAULT_MODEL = "led-tiny"


@dataclasses.dataclass(frozen=True)
class Summary:
    """A summary, and what it is a summary of.

    Args:
        text: The summary.
        input_tokens: Length of the whole document in tokens, special tokens included.
        summary_tokens: Length of the summary in tokens, without special tokens.
        truncated: How many tokens at the document's end were not read.
        parts: In how many parts the document was read; 1 if it was read as a whole.
        part_summaries: The parts' summaries, of which ``text`` is the summary; empty without parts.
        complete: Whether the model ended the summary by itself, before ``max_new_tokens``.
        model: The model's name.
        seconds: How long it took; in a batch, how long the whole batch took.
        foreign: Whether the document is of another world than the bundled models know.
        extractive: Whether the summary is made of sentences of the document; its lengths are in words then.
        extracted: With ``extract_first``, how many tokens of the document's own sentences the model read.
        invisible: How many invisible characters (soft hyphens, zero-width marks) of the document were not read: they
            cut words for a tokenizer.
        sources: Of an extractive summary, each sentence with its offset, paragraph and page in the document.
        settings_from: What the caller has not said and the checkpoint says: ``num_beams``, ``max_new_tokens`` … -> the
            file that it comes from, ``generation_config.json`` before ``config.json`` and, there, the values for
            summaries in ``task_specific_params`` before the plain ones.
    """

    text: str
    input_tokens: int
    summary_tokens: int
    truncated: int = 0
    parts: int = 1
    part_summaries: tuple[str, ...] = ()
    complete: bool = True
    model: str = ""
    seconds: float = 0.0
    foreign: bool = False
    extractive: bool = False
    extracted: int = 0
    invisible: int = 0
    sources: tuple[Passage, ...] = ()
    settings_from: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


@overload
def summarize(  # type: ignore[overload-overlap]  # a str is a sequence of str too; the first signature wins
    documents: str | DocumentText,
    model: str | os.PathLike[str] | PreTrainedModel | None = ...,
    **options: Unpack[SummarizeOptions],
) -> Summary: ...
@overload
def summarize(
    documents: Sequence[str | DocumentText],
    model: str | os.PathLike[str] | PreTrainedModel | None = ...,
    **options: Unpack[SummarizeOptions],
) -> list[Summary]: ...
def summarize(
    documents: str | DocumentText | Sequence[str | DocumentText],
    model: str | os.PathLike | PreTrainedModel | None = None,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_new_tokens: int | None = None,
    min_new_tokens: int | None = None,
    num_beams: int | None = None,
    no_repeat_ngram_size: int | None = None,
    truncate: bool = False,
    split: bool = False,
    extract_first: bool = False,
    anyway: bool = False,
    batch_size: int = 1,
    device: str | int | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    quantization: str | BitsAndBytesConfig | None = None,
    progress: Callable[[Progress], None] | None = None,
    generation_config: GenerationConfig | None = None,
    **generate: object,
) -> Summary | list[Summary]:
    """Summarize a document, or several.

    A model with global tokens (LED) gets its first token global, as its paper advises for summarization. A
    document longer than the model takes is refused unless ``truncate``, ``split`` or ``extract_first`` says what to do.

    The bundled models know their own synthetic world only. Without a model's name a text of that world gets one of
    them, and any other text an extract: sentences of its own, word for word, with their places in ``sources``.

    To summarize many documents one after the other, load the model once and pass it.

    Args:
        documents: A text, a document from ``read_document``, which knows its pages, or a sequence of these.
        model: A bundled name, a folder, a name on the hub, or a model from ``load``; ``"extract"`` for sentences of
            the document; None chooses by the text.
        tokenizer: The model's tokenizer; None loads the one that belongs to the model.
        max_new_tokens: The longest summary, in tokens; None takes the checkpoint's own, else 256. Of an extract, in
            words; None takes 200, or a third of a shorter document.
        min_new_tokens: The shortest summary, in tokens.
        num_beams: Number of beams of beam search; 1 is greedy. None takes the checkpoint's own.
        no_repeat_ngram_size: No sequence of so many tokens occurs twice in a summary; 0 allows it.
        truncate: Read only as much of a document as the model takes.
        split: Summarize parts of a document that is too long, then the joined summaries.
        extract_first: Of a document that is too long, let the model read as many of its sentences as it takes,
            chosen as an extract is.
        anyway: Let a bundled model that was named write about a text that it does not know; it will invent.
        batch_size: How many documents (or parts) are summarized at a time. More is faster on a GPU and needs
            more memory; the summaries are the same.
        device: Where to load a model given by name; see ``load``.
        dtype: The number format to load it in; see ``load``.
        quantization: ``"int8"``, ``"nf4"`` or ``"fp4"`` to load it with quantized weights.
        progress: Called with a ``Progress`` for every encoder layer and every written token.
        generation_config: transformers' ``GenerationConfig``; what it sets beats the checkpoint's files, and the
            keywords here beat it.
        **generate: More options of transformers' ``generate``, such as ``length_penalty``. ``max_length`` and
            ``min_length`` mean what they mean there: they count the decoder's start token too.

    Returns:
        A ``Summary`` for a text, a list of them, in order, for a sequence of texts.

    Raises:
        DocumentError: A document is empty or not a string.
        DocumentTooLong: A document is longer than the model takes and no choice was made.
        ForeignText: A bundled model was named for a text that it does not know, and not ``anyway``.
        UnknownOption: There is no such option; a ``TypeError`` that names the nearest one.
        OptionError: Options make no sense, or contradict each other.
        NotEnoughMemory: A document or the model does not fit.
        LongsumError: The model cannot be loaded; see ``load``.

    Cost:
        One pass of the encoder over each document, then one decoder step a token of summary. ``split`` reads
        every token once, and the parts' summaries again.
    """
    started = time.perf_counter()
    several = not isinstance(documents, str | DocumentText)
    documents, with_pages = plain_texts(documents)
    texts = _check_documents(documents)
    asked = {
        "max_new_tokens": max_new_tokens,
        "min_new_tokens": min_new_tokens,
        "num_beams": num_beams,
        "no_repeat_ngram_size": no_repeat_ngram_size,
    }
    _check_options(truncate, split, extract_first, batch_size)
    writing = settle({**generate, **asked}, generation_config)
    loading = {"device": device, "dtype": dtype, "quantization": quantization}
    loaded = model is not None and not isinstance(model, str | os.PathLike)
    if loaded and any(option is not None for option in loading.values()):
        raise OptionError("device, dtype and quantization are for a model given by name; this one is loaded")
    name = model.name_or_path if loaded else None if model is None else os.fspath(model)
    given, cleaned = with_pages or texts, [remove_invisible(text) for text in texts]
    texts = [text for text, _ in cleaned]
    foreign = [is_foreign(text) for text in texts]
    names = [
        model_for(strange, name, DEFAULT_MODEL, anyway, _which(number, texts))
        for number, strange in enumerate(foreign, 1)
    ]
    own = [i for i, chosen in enumerate(names) if chosen == EXTRACT]
    if own:
        check_extract_options({**writing.generate, "max_new_tokens": None, "tokenizer": tokenizer, **loading}, writing)
    most = writing.generate.get("max_new_tokens")
    found = {i: Summary(**extracted(given[i], most)) for i in own}
    rest = [i for i, chosen in enumerate(names) if chosen != EXTRACT]
    if rest:
        if not loaded:
            from longsum_lib.loading.auto import load

            model = load(names[rest[0]], **loading)
        from longsum_lib.generation.writer import Options

        writer = _writer(model, tokenizer, Options(writing, batch_size, progress))
        how = "truncate" if truncate else "split" if split else "extract_first" if extract_first else None
        if any(foreign[i] for i in rest) and is_bundled(writer.name):
            _warn_of_invention(writer.name)
        with _evaluating(model):
            found.update(zip(rest, _summarize_all(writer, [texts[i] for i in rest], how), strict=True))
    seconds = time.perf_counter() - started
    invisible = [getattr(given[i], "invisible", 0 if i in own else cleaned[i][1]) for i in range(len(texts))]
    summaries = [
        dataclasses.replace(found[i], seconds=seconds, foreign=foreign[i], invisible=invisible[i])
        for i in range(len(texts))
    ]
    return summaries if several else summaries[0]


# What people pass instead of a text, and what to write.
_HINTS: dict[type | None, str] = {
    os.PathLike: ": Path(…).read_text()",
    bytes: ": decode the bytes, as in data.decode('utf-8')",
    bytearray: ": decode the bytes, as in data.decode('utf-8')",
    Mapping: ": list(documents.values())",
    Set: " in the order that the summaries shall have",
}


def _check_documents(documents: str | Sequence[str]) -> list[str]:
    fix = _HINTS.get(next((kind for kind in _HINTS if isinstance(documents, kind)), None), "")
    if fix or not isinstance(documents, Iterable):
        raise DocumentError(f"documents is of type {type(documents).__name__}; expected a text or a list of texts{fix}")
    texts = [documents] if isinstance(documents, str) else list(documents)
    for number, text in enumerate(texts, 1):
        which = _which(number, texts)
        if not isinstance(text, str):
            fix = _HINTS.get(next((kind for kind in _HINTS if isinstance(text, kind)), None), "")
            raise DocumentError(f"{which} is of type {type(text).__name__}; expected a string{fix}")
        if not text.strip():
            raise DocumentError(f"{which} is empty; expected some text")
        _check_characters(text, which)
        if len(text) < 1000 and "\n" not in text and os.path.isfile(text):
            fix = f"expected its text: Path({text!r}).read_text(), or longsum_lib.read_document"
            raise DocumentError(f"{which} is the path of a file, {text!r}; {fix}")
    return texts


def _check_characters(text: str, which: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DocumentError(
            f"{which} holds half a character (U+{ord(text[error.start]):04X} at position {error.start:,}), so it was "
            "decoded wrongly; expected text as read with open(path, encoding=...)"
        ) from None


def _which(number: int, texts: list) -> str:
    return f"document {number} of {len(texts)}" if len(texts) > 1 else "the document"


def _check_options(truncate: bool, split: bool, extract_first: bool, batch_size: int) -> None:
    chosen = {"truncate": truncate, "split": split, "extract_first": extract_first}
    both = [name for name, value in chosen.items() if value]
    if len(both) > 1:
        raise OptionError(f"{both[0]} and {both[1]} exclude each other; choose one")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise OptionError(f"batch_size is {batch_size!r}, expected a whole number of at least 1")


def _writer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, options: Options) -> Writer:
    from longsum_lib.generation.writer import Writer
    from longsum_lib.loading.auto import load_tokenizer

    if not (callable(getattr(model, "can_generate", None)) and model.can_generate()):
        raise OptionError(f"a {type(model).__name__} cannot write; load it with task='summarization'")
    name = model.name_or_path
    if tokenizer is None:
        if not name:
            raise OptionError("this model was not loaded from a checkpoint; give its tokenizer as well")
        tokenizer = load_tokenizer(name)
    return Writer(model, tokenizer, name or type(model).__name__, options)


def _real_models() -> str:
    from longsum_lib.loading.registry import supported_hub_models

    return " or ".join(model.name for model in supported_hub_models(summarizes=True))


def _warn_of_invention(name: str) -> None:
    warnings.warn(
        f"{name} was trained on small synthetic reports only; what it writes about this text is invented. A real "
        f"model: {_real_models()}",
        OutOfWorldWarning,
        stacklevel=3,
    )


def _warn_about_model(writer: Writer) -> None:
    """Warn when the model never saw a summary."""
    from longsum_lib.loading.registry import HUB_MODELS

    if any(model.name == writer.name and not model.summarizes for model in HUB_MODELS):
        warnings.warn(
            f"{writer.name} was trained on text but not on summaries; fine-tune it first, or use {_real_models()}",
            LongsumWarning,
            stacklevel=4,
        )


@contextlib.contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Switch dropout off for a while, if the caller's model is being trained."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _summarize_all(writer: Writer, texts: list[str], how: str | None) -> list[Summary]:
    """Summarize texts; ``how`` says what to do with those that are too long."""
    for number, text in enumerate(texts, 1):
        writer.check_length(text, _which(number, texts), how is not None)
    documents, lengths = _encode(writer, texts)
    long = [i for i, length in enumerate(lengths) if writer.limit is not None and length > writer.limit]
    if long and how is None:
        raise DocumentTooLong(lengths[long[0]], writer.limit, writer.name, _which(long[0] + 1, texts))
    _warn_about_model(writer)
    more: dict[int, dict[str, int]] = {}
    for i in long if how in ("truncate", "extract_first") else ():
        if how == "truncate":
            (documents[i],) = writer.encode([texts[i]], limit=writer.limit)
            more[i] = {"truncated": lengths[i] - len(documents[i])}
        else:
            shorter, length = extract_to_fit(texts[i], lengths[i], writer.limit, writer.count)
            (documents[i],) = writer.encode([shorter])
            more[i] = {"extracted": length}
    whole = [i for i in range(len(texts)) if how != "split" or i not in set(long)]
    written = dict(zip(whole, writer.write([documents[i] for i in whole]), strict=True))
    return [
        _summary(writer, written[i], lengths[i], **more.get(i, {}))
        if i in written
        else _summarize_parts(writer, text, lengths[i])
        for i, text in enumerate(texts)
    ]


def _encode(writer: Writer, texts: list[str]) -> tuple[list[list[int]], list[int]]:
    """Token ids and lengths of texts; of one that is too long for the model and very long, no ids."""
    large = [i for i, text in enumerate(texts) if len(text) > LARGE and writer.limit is not None]
    counted = dict(zip(large, writer.count([texts[i] for i in large]), strict=True))
    whole = [i for i in range(len(texts)) if counted.get(i, 0) <= (writer.limit or 0)]
    documents = dict(zip(whole, writer.encode([texts[i] for i in whole]), strict=True))
    lengths = [len(documents[i]) if i in documents else counted[i] for i in range(len(texts))]
    return [documents.get(i, []) for i in range(len(texts))], lengths


def _summarize_parts(writer: Writer, text: str, length: int) -> Summary:
    """Summarize the parts of a text, then the joined summaries, in parts again if they are still too long."""
    parts = split_text(text, writer.limit, writer.count)
    written = writer.write(writer.encode(parts), parts=len(parts))
    part_summaries = tuple(part.text for part in written)
    joined = "\n\n".join(filter(None, part_summaries))
    (joined_length,) = writer.count([joined])
    if joined_length >= length:
        raise OptionError(
            f"splitting does not make the text shorter: the {len(parts)} summaries have {joined_length:,} "
            f"tokens, the text {length:,}; lower max_new_tokens"
        )
    if joined_length > writer.limit:
        final = _summarize_parts(writer, joined, joined_length)
        return dataclasses.replace(final, input_tokens=length, parts=len(parts), part_summaries=part_summaries)
    (last,) = writer.write(writer.encode([joined]), parts=len(parts), joined=True) if joined else written[:1]
    return _summary(writer, last, length, parts=len(parts), part_summaries=part_summaries)


def _summary(writer: Writer, written: Written, length: int, **more: object) -> Summary:
    return Summary(
        text=written.text,
        input_tokens=length,
        summary_tokens=written.tokens,
        complete=written.complete,
        model=writer.name,
        settings_from=writer.settings_from,
        **more,
    )
