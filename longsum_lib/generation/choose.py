"""Which summarizer a text gets: the bundled models know their own world alone, and never write about another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from longsum_lib.errors import ForeignText, Option, OptionError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.extract import Extract, extract
from longsum_lib.generation.options import Writing

EXTRACT = "extract"
"""The name, among those of models, of summaries made of the document's own sentences."""


def is_foreign(text: str) -> bool:
    """Whether a text is of another world than the bundled models know.

    Cost:
        See :func:`longsum_lib.corpus.guard.out_of_world`; constant for long texts.
    """
    from longsum_lib import corpus

    return corpus.out_of_world(text)


def model_for(foreign: bool, asked: str | None, default: str, anyway: bool, which: str = "the document") -> str:
    """Say which model a text gets.

    Args:
        foreign: Whether the text is of another world than the bundled models know.
        asked: The model that the caller named, if any.
        default: The bundled model for texts of its world.
        anyway: Whether a bundled model that was named may write about a foreign text.
        which: Names the document in the message.

    Returns:
        A model's name, or ``EXTRACT``.

    Raises:
        ForeignText: The model is a bundled one, the text is foreign, and not ``anyway``.
        OptionError: ``anyway`` without the name of a model.
    """
    if asked is None or asked == EXTRACT:
        if anyway:
            raise OptionError(Option("anyway"), " lets a bundled model write about any text; name the model")
        return EXTRACT if foreign or asked == EXTRACT else default
    if foreign and not anyway and is_bundled(asked):
        raise ForeignText(asked, which)
    return asked


def is_bundled(name: str) -> bool:
    """Whether a model's name, or its folder, is that of a bundled one."""
    from longsum_lib.loading.checkpoint_files import bundled_models

    bundled = bundled_models()
    return name in bundled or (bool(name) and Path(name).resolve() in {path.resolve() for path in bundled.values()})


def check_extract_options(given: dict[str, Any], writing: Writing) -> None:
    """Refuse options that only a model understands; those that are None were not given.

    Args:
        given: Options and their values.
        writing: What the caller calls them.

    Raises:
        OptionError: One was given.
    """
    for name, value in given.items():
        if value is not None:
            name = writing.name(name)
            raise OptionError(Option(name), f" is for models that write; {EXTRACT} chooses sentences of the document")


def plain_texts(documents: Any) -> tuple[Any, list[str | DocumentText] | None]:
    """Take the texts out of documents that know their pages.

    Returns:
        The documents with plain texts in place of each ``DocumentText``, and the list of what was given where one was
        among them.
    """
    if isinstance(documents, DocumentText):
        return documents.text, [documents]
    if isinstance(documents, list | tuple) and any(isinstance(one, DocumentText) for one in documents):
        return [one.text if isinstance(one, DocumentText) else one for one in documents], list(documents)
    return documents, None


def extracted(document: str | DocumentText, max_words: int | None) -> dict[str, Any]:
    """Make a summary of a document's own sentences: the fields of a ``Summary``."""
    found: Extract = extract(document, words=max_words)
    return {
        "text": found.text,
        "input_tokens": found.document_words,
        "summary_tokens": found.words,
        "model": EXTRACT,
        "extractive": True,
        "sources": found.passages,
    }


def extract_to_fit(text: str, tokens: int, limit: int, count: Callable[[Sequence[str]], list[int]]) -> tuple[str, int]:
    """Choose as many sentences of a text as a model takes.

    Args:
        text: A text that is too long.
        tokens: Its length in tokens.
        limit: The most tokens that the model takes, special tokens included.
        count: Counts the tokens of texts, special tokens included.

    Returns:
        The sentences, in the text's order, and their tokens.

    Raises:
        OptionError: Not even one sentence fits.

    Cost:
        One extract and one count of about ``limit`` tokens, or a few.
    """
    whole = extract(text, words=1)
    words = int(limit * whole.document_words / tokens)
    while words > 0:
        shorter = extract(text, words=words).text
        (length,) = count([shorter])
        if length <= limit:
            return shorter, length
        # Tokens are spread unevenly; the next try has a little less than what would fit exactly.
        words = min(words - 1, int(words * 0.97 * limit / length))
    raise OptionError(f"no sentence of the document fits into the {limit:,} tokens that the model takes")
