"""From a document to the sentences of it that stand for the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from longsum_lib.errors import DocumentError, OptionError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.extract.choose import choose
from longsum_lib.generation.extract.graph import Similarities
from longsum_lib.generation.extract.layout import Candidate, Layout, read_layout
from longsum_lib.generation.extract.scores import scores
from longsum_lib.generation.extract.terms import count_words, terms
from longsum_lib.generation.sentences import paragraph_spans

# A line break between two letters of a script without blanks stands for nothing.
_WRAPPED = re.compile(
    r"(?<=[\u3000-\u30ff\u3400-\u9fff\uff01-\uff60])[ \t]*\n\s*(?=[\u3000-\u30ff\u3400-\u9fff\uff01-\uff60])"
)
WORDS = 200
"""Longest extract unless asked otherwise; of short documents a third at most."""
CHAPTER = 2_000_000
"""Characters that are compared with each other at once; of longer texts the best sentences of each chapter are."""
KEPT = 400
"""Sentences that go on from each chapter."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence and where it stands in the document.

    Attributes:
        text: The sentence, word for word; line breaks inside it are blanks, or nothing in Chinese and Japanese.
        offset: Its first character in the document's text, and ``end`` the one behind its last.
        paragraph: The number of its paragraph, from 1.
        page: The number of its page, from 1; None if the document has no pages.
    """

    text: str
    offset: int
    end: int
    paragraph: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Extract:
    """Sentences of a document, in its order.

    Attributes:
        passages: The sentences with their places.
        words: How many words they have together.
        document_words: How many words the document has.
    """

    passages: tuple[Passage, ...]
    words: int
    document_words: int

    @property
    def text(self) -> str:
        """The sentences, one a line."""
        return "\n".join(passage.text for passage in self.passages)

    def __str__(self) -> str:
        return self.text


def extract(document: str | DocumentText, *, words: int | None = None, sentences: int | None = None) -> Extract:
    r"""Choose the sentences of a document that stand for the whole, word for word and in its order.

    Sentences are ranked by a walk on the graph of their similarities, with a prior for where they stand and what
    they say of themselves; of two that say the same, one is chosen. Headings, running heads, page numbers, contents,
    references, licences and front matter are never chosen.

    Args:
        document: A text in any language, or one with its pages.
        words: The most words to choose; None takes 200, or a third of a shorter document. The first sentence chosen
            may be longer.
        sentences: The most sentences to choose; None takes as many as fit.

    Returns:
        The sentences with offset, paragraph and page of each.

    Raises:
        DocumentError: The document has no text.
        OptionError: A limit is below 1.

    Cost:
        Time O(characters), about a second a million; memory for the words of 2 million characters, and for 400
        sentences of each further 2 million. Needs no model.

    Source:
        Continuous LexRank (Erkan and Radev, 2004) with priors; maximal marginal relevance (Carbonell and Goldstein,
        1998).

    Example:
        >>> found = extract("Rain fell on the hut all week. The hut is old. Rain on the hut roof woke us.", sentences=1)
        >>> found.passages[0].text
        'Rain fell on the hut all week.'
    """
    for name, value in (("words", words), ("sentences", sentences)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise OptionError(option=name, got=value, expected="a whole number of at least 1")
    if isinstance(document, str):
        document = DocumentText.from_text(document)
    text = document.text
    layout, total = _shortlist(text)
    if not layout.candidates:
        raise DocumentError("the document holds no words; expected some text")
    if words is None:
        words = min(WORDS, max(total // 3, 1)) if sentences is None else total
    candidates, similarities, worth = _rank(text, layout)
    lengths = [candidate.words for candidate in candidates]
    chosen = choose(worth, lengths, similarities, words=words, sentences=sentences)
    passages = tuple(_passage(document, candidates[number]) for number in chosen)
    return Extract(passages, sum(lengths[number] for number in chosen), total)


def _passage(document: DocumentText, candidate: Candidate) -> Passage:
    text = _WRAPPED.sub("", document.text[candidate.start : candidate.end])
    text = re.sub(r"\s+", " ", text)
    return Passage(text, candidate.start, candidate.end, candidate.paragraph, document.page(candidate.start))


def _rank(text: str, layout: Layout) -> tuple[list[Candidate], Similarities, np.ndarray]:
    """The candidates without those that are said before, their similarities, and what each is worth."""
    found: dict[tuple[str, ...], Candidate] = {}
    for candidate in layout.candidates:
        found.setdefault(tuple(terms(text[candidate.start : candidate.end])), candidate)
    candidates, words = list(found.values()), list(found)
    similarities = Similarities(words)
    return candidates, similarities, scores(text, candidates, words, similarities, terms(layout.title) or words[0])


def _shortlist(text: str) -> tuple[Layout, int]:
    """The candidates of a text; of one longer than a chapter, the best of each chapter."""
    title, total, paragraphs = "", 0, 0
    kept: list[Candidate] = []
    for start, end in _chapters(text):
        layout = read_layout(text, start, end, paragraphs)
        total += count_words(text[start:end])
        title = title or layout.title
        candidates = layout.candidates
        if end - start < len(text) and len(candidates) > KEPT:
            candidates, _, worth = _rank(text, layout)
            candidates = [candidates[number] for number in sorted(worth.argsort()[::-1][:KEPT])]
        kept += candidates
        if end < len(text):
            paragraphs += sum(1 for _ in paragraph_spans(text, start, end))
    return Layout(kept, title), total


def _chapters(text: str) -> list[tuple[int, int]]:
    """Cut a very long text at paragraphs, or anywhere if it has none."""
    cuts = [0]
    while len(text) - cuts[-1] > CHAPTER:
        cut = text.rfind("\n\n", cuts[-1] + CHAPTER // 2, cuts[-1] + CHAPTER)
        if cut < 0:
            cut = max(text.rfind(mark, cuts[-1] + CHAPTER // 2, cuts[-1] + CHAPTER) for mark in ("\n", ". ", "。", " "))
        cuts.append(cut + 1 if cut > 0 else cuts[-1] + CHAPTER)
    return list(zip(cuts, [*cuts[1:], len(text)], strict=True))
