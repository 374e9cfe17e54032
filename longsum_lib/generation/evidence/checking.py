"""Names, numbers and dates of a summary that its document does not have."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from longsum_lib.errors import DocumentError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.evidence.names import (
    Name,
    Names,
    find_names,
    follows_a_determiner,
    has_capitals,
    type_word,
    writes_nouns_with_capitals,
)
from longsum_lib.generation.evidence.quantities import Date, Quantity, find_dates, find_quantities
from longsum_lib.generation.evidence.terms import Term, find_terms
from longsum_lib.generation.sentences import sentence_spans

_LABEL = re.compile(r"\b[A-Z]\w*[.\s\u00a0-]+$")


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something in a summary that the document does not bear out.

    Args:
        start: First character in the summary.
        end: One past the last character.
        text: What stands there.
        kind: ``"name"``, ``"number"`` or ``"date"``.
        verdict: ``"missing"``: the document does not have it. ``"elsewhere"``: the document has it, but not with what
            it stands with here: the words of a name never in one sentence, a name never with what it is said to be the
            name of (*the steamer*), a number never with the word behind it.
    """

    start: int
    end: int
    text: str
    kind: str
    verdict: str


@dataclasses.dataclass(frozen=True)
class Check:
    """What was looked at, and what was found.

    Args:
        findings: What the document does not bear out, in the summary's order.
        names: How many names were looked up.
        numbers: How many numbers.
        dates: How many dates.
        names_checked: False where names cannot be told by capitals: scripts without them, and texts in one case.
    """

    findings: tuple[Finding, ...]
    names: int
    numbers: int
    dates: int
    names_checked: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists and dictionaries, for JSON."""
        return dataclasses.asdict(self)


def check(summary: str, document: str | DocumentText) -> Check:
    """Look up the names, numbers and dates of a summary in its document.

    Numbers count as equal however they are written (4,810, 4 810, *twenty-two*, 1.2 million, 三百); so do dates, and a
    date may say less than the document does. Names are equal in any case, with or without accents, possessive,
    plural and hyphens; of a name of several words all have to stand in one sentence. What is found is a reason to
    look: a summary may be wrong with every name and number in place, and right with a rounded number.

    Args:
        summary: The summary.
        document: What it summarizes.

    Raises:
        DocumentError: The document is empty.

    Cost:
        Time O(characters of both); 0.1 s for 30 pages.

    Example:
        >>> text = "The Kelsan survey of 3 May 1901 cost 4,810 crowns; twelve people took part."
        >>> found = check("In June 1901 the Morvik survey's 12 people spent 4810 crowns.", text).findings
        >>> [(finding.text, finding.kind) for finding in found]
        [('June 1901', 'date'), ('Morvik', 'name')]
    """
    source = document.text if isinstance(document, DocumentText) else document
    if not source.strip():
        raise DocumentError("the document is empty; expected some text")
    spans, own = list(sentence_spans(source)), list(sentence_spans(summary))
    dates, quantities = find_dates(summary), find_quantities(summary)
    quantities = [q for q in quantities if not any(d.start < q.end and q.start < d.end for d in dates)]
    names_checked = has_capitals(summary) and has_capitals(source)
    names = find_names(summary, own) if names_checked else []
    findings = [
        *_wrong_dates(summary, dates, source),
        *_wrong_numbers(summary, quantities, source, spans),
        *_wrong_names(summary, names, Names(source, spans), writes_nouns_with_capitals(summary)),
    ]
    findings.sort(key=lambda finding: finding.start)
    return Check(tuple(findings), len(names), len(quantities), len(dates), names_checked)


def _wrong_dates(summary: str, dates: list[Date], source: str) -> Iterator[Finding]:
    known = {reading for date in find_dates(source) for reading in date.readings}
    years = {int(v) for q in find_quantities(source) for v in q.values if v.denominator == 1 and 1000 <= v <= 2999}
    for date in dates:
        if not any(_is_known(reading, known, years) for reading in date.readings):
            yield Finding(date.start, date.end, summary[date.start : date.end], "date", "missing")


def _is_known(asked: tuple[int, int, int], known: set[tuple[int, int, int]], years: set[int]) -> bool:
    """Whether a date of the document has all that is asked; one without a year may have it elsewhere in the text."""
    for date in known:
        same = all(wanted in (0, had) for wanted, had in zip(asked[1:], date[1:], strict=True))
        if same and (asked[0] in (0, date[0]) or (not date[0] and asked[0] in years)):
            return True
    return False


def _wrong_numbers(
    summary: str, quantities: list[Quantity], source: str, spans: list[tuple[int, int]]
) -> Iterator[Finding]:
    places: dict[Quantity | object, set[int]] = {}
    for number, (start, end) in enumerate(spans):
        for quantity in find_quantities(source[start:end]):
            for value in quantity.values:
                places.setdefault(value, set()).add(number)
    for quantity in quantities:
        if not quantity.written and max(quantity.values) <= 1:
            continue  # "one" is seldom a number
        where = set().union(*(places.get(value, set()) for value in quantity.values))
        text = summary[quantity.start : quantity.end]
        if not where:
            yield Finding(quantity.start, quantity.end, text, "number", "missing")
        elif not _stands_with(_word_behind(summary, quantity), source, [spans[place] for place in where]):
            yield Finding(quantity.start, quantity.end, text, "number", "elsewhere")


def _word_behind(summary: str, quantity: Quantity) -> Term | None:
    """The word that says what is counted, if it follows at once; in "Figure 3 shows" nothing is counted."""
    if _LABEL.search(summary, max(0, quantity.start - 30), quantity.start):
        return None
    following = summary[quantity.end : quantity.end + 40]
    terms = find_terms(following)
    if not terms or following[: terms[0].start].strip(" \u00a0-") or len(terms[0].key) < 3:
        return None
    return terms[0]


def _stands_with(word: Term | None, source: str, sentences: list[tuple[int, int]]) -> bool:
    return word is None or any(word.key in {term.key for term in find_terms(source, *span)} for span in sentences)


def _wrong_names(summary: str, names: list[Name], known: Names, nouns: bool) -> Iterator[Finding]:
    for name in names:
        where = [known.where(word) for word in name.words]
        lacking = [word for word, places in zip(name.words, where, strict=True) if not places]
        noun = nouns and (follows_a_determiner(summary, name) or all(_is_compound(word, known) for word in lacking))
        if lacking and noun:
            continue
        text = summary[name.start : name.end]
        if lacking:
            yield Finding(name.start, name.end, text, "name", "missing")
        elif not set.intersection(*where, *([known.where(kind)] if (kind := type_word(summary, name)) else [])):
            yield Finding(name.start, name.end, text, "name", "elsewhere")


def _is_compound(word: str, known: Names) -> bool:
    """Whether a German noun is made of a word of the document, which a summary may well do."""
    plain = word.casefold()
    return any(len(form) >= 4 and (plain.startswith(form) or plain.endswith(form)) for form in known.places)
