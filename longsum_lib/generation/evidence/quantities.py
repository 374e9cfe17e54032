"""Numbers and dates of a text, in one form whatever way they are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from fractions import Fraction

from longsum_lib.generation.evidence import number_words as words

_GROUP = ",.\u00a0\u202f\u2009'’ "
_DIGITS = re.compile(
    rf"(?<![A-Za-z\d_])(?P<number>\d{{1,3}}(?:(?P<group>[{_GROUP}])\d{{3}}(?!\d))(?:(?P=group)\d{{3}}(?!\d))*(?:[.,]\d+)?"
    r"|\d+(?:[.,]\d+)?)"
    r"(?P<scale>(?:\s|-)?(?:[^\W\d_]+)|[万萬亿億])?",
)
_LETTER_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile("[零〇一二三四五六七八九两兩十百千万萬亿億]+")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A number of a text.

    Args:
        start: First character.
        end: One past the last character.
        values: What it may mean: ``4.810`` is 4,810 in German and 4.81 in English.
        written: Whether it stands in digits.
    """

    start: int
    end: int
    values: frozenset[Fraction]
    written: bool = True


@dataclasses.dataclass(frozen=True)
class Date:
    """A date with a month.

    Args:
        start: First character.
        end: One past the last character.
        readings: Possible ``(year, month, day)``; 0 for what is not said. ``3/4/1990`` has two.
    """

    start: int
    end: int
    readings: frozenset[tuple[int, int, int]]


def find_quantities(text: str) -> list[Quantity]:
    """Find the numbers of a text: digits with any separators, words in English and some others, Han numerals.

    Example:
        >>> [
        ...     sorted(int(value) for value in q.values)
        ...     for q in find_quantities("4,810 crowns, twenty-two men, 1.2 million, 三百")
        ... ]
        [[4, 4810], [22], [1200000], [300]]
    """
    found = list(_digits(text))
    taken = [(quantity.start, quantity.end) for quantity in found]
    found += [q for q in (*_words(text), *_han(text)) if not any(a < q.end and q.start < b for a, b in taken)]
    return sorted(found, key=lambda quantity: quantity.start)


def _digits(text: str) -> Iterator[Quantity]:
    for match in _DIGITS.finditer(text):
        values = _readings(match["number"], match["group"])
        end = match.end("number")
        scale = (match["scale"] or "").strip(" -\u00a0").casefold()
        factor = words.AFTER_DIGITS.get(scale) or words.AFTER_DIGITS.get(scale.removesuffix("s"))
        factor = factor or words.HAN_MYRIADS.get(scale[:1])
        if factor:
            values, end = {value * factor for value in values}, match.end()
        yield Quantity(match.start(), end, frozenset(values))


def _readings(number: str, group: str | None) -> set[Fraction]:
    """What digits with separators may mean."""
    digits = "".join(str(int(letter)) if letter.isdigit() else letter for letter in number)
    if group is None:
        return {Fraction(digits.replace(",", "."))}
    last = re.search(r"[.,]\d+$", digits)
    if last and last.group()[0] != group and len(re.findall(r"[.,]", digits)) >= 1 and group in digits[: last.start()]:
        return {Fraction(digits[: last.start()].replace(group, "") + "." + last.group()[1:])}
    readings = {Fraction(digits.replace(group, ""))}
    if group in ",." and digits.count(group) == 1:
        readings.add(Fraction(digits.replace(group, ".")))  # three digits behind a decimal sign
    return readings


def _words(text: str) -> Iterator[Quantity]:
    """Numbers in words: runs of English ones, and single words of other languages."""
    run: list[re.Match[str]] = []
    for match in _LETTER_WORD.finditer(text):
        word = match.group().casefold()
        if run and text[run[-1].end() : match.start()].strip(" -\n\u00a0"):
            yield from _spoken(run)
            run = []
        if _value(word) is not None or _scale(word) or (run and word == "and"):
            run.append(match)
            continue
        yield from _spoken(run)
        run = []
        if word in words.OTHER:
            yield Quantity(match.start(), match.end(), frozenset({Fraction(words.OTHER[word])}), False)
    yield from _spoken(run)


def _value(word: str) -> int | None:
    return words.SMALL.get(word, words.ORDINALS.get(word))


def _scale(word: str) -> int | None:
    return words.SCALES.get(word) or words.SCALES.get(word.removesuffix("s"))


def _spoken(run: list[re.Match[str]]) -> Iterator[Quantity]:
    """The numbers of a run of words: *twenty two* is one, *two twenty* are two."""
    thousands = current = last = 0
    first: re.Match[str] | None = None
    before: re.Match[str] | None = None
    for match in run:
        word = match.group().casefold()
        value, scale = _value(word), _scale(word)
        if value is not None:
            joins = last >= 100 or (value < 10 and 20 <= last < 100 and last % 10 == 0)
            if first is not None and before is not None and not joins:
                yield Quantity(first.start(), before.end(), frozenset({Fraction(thousands + current)}), False)
                first, thousands, current = None, 0, 0
            first, current, last = first or match, current + value, value
        elif scale is None or first is None:
            continue  # "and"; "hundreds of them"
        elif scale < 1000:
            current, last = (current or 1) * scale, scale
        else:
            thousands, current, last = thousands + (current or 1) * scale, 0, scale
        before = match
    if first is not None and before is not None:
        yield Quantity(first.start(), before.end(), frozenset({Fraction(thousands + current)}), False)


def _han(text: str) -> Iterator[Quantity]:
    for match in _HAN.finditer(text):
        run = match.group()
        value = _han_value(run)
        # A single numeral is part of too many other words.
        if value is not None and len(run) > 1:
            yield Quantity(match.start(), match.end(), frozenset({Fraction(value)}), False)


def _han_value(run: str) -> int | None:
    if all(letter in words.HAN_DIGITS for letter in run):
        return int("".join(str(words.HAN_DIGITS[letter]) for letter in run))
    total = section = digit = 0
    for letter in run:
        if letter in words.HAN_DIGITS:
            digit = words.HAN_DIGITS[letter]
        elif letter in words.HAN_SCALES:
            section += (digit or 1) * words.HAN_SCALES[letter]
            digit = 0
        else:
            total += (section + digit or 1) * words.HAN_MYRIADS[letter]
            section = digit = 0
    return total + section + digit


_MONTH = "|".join(sorted(words.MONTHS, key=len, reverse=True))
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.|er|º)?"
_YEAR = r"\d{4}"
_OF = r"(?:of\s+|de\s+)?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<day>{_DAY})\s+{_OF}(?P<month>{_MONTH})\b\.?(?:,?\s+{_OF}(?P<year>{_YEAR})\b)?",
        rf"\b(?P<month>{_MONTH})\b\.?\s+(?P<day>{_DAY})\b(?!\d)(?:,?\s+(?P<year>{_YEAR})\b)?",
        rf"\b(?P<month>{_MONTH})\b\.?,?\s+{_OF}(?P<year>{_YEAR})\b",
        rf"\b(?P<month>{_MONTH})\b",
    )
)
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_SLASHED = re.compile(r"\b(\d{1,2})([./])(\d{1,2})\2(\d{4})\b")
_EAST = re.compile(r"(?:(\d{4})\s*[年년]\s*)?(\d{1,2})\s*[月월](?:\s*(\d{1,2})\s*[日일])?")


def find_dates(text: str) -> list[Date]:
    """Find the dates of a text that say a month; a year alone is a number.

    Example:
        >>> [sorted(d.readings) for d in find_dates("3 May 1901, June 1902, 1990-03-12, 3/4/1990, 2021年3月5日")]
        [[(1901, 5, 3)], [(1902, 6, 0)], [(1990, 3, 12)], [(1990, 3, 4), (1990, 4, 3)], [(2021, 3, 5)]]
    """
    found: list[Date] = []

    def add(start: int, end: int, *readings: tuple[int, int, int]) -> None:
        fitting = {r for r in readings if 1 <= r[1] <= 12 and r[2] <= 31}
        if fitting and not any(date.start < end and start < date.end for date in found):
            found.append(Date(start, end, frozenset(fitting)))

    for match in _ISO.finditer(text):
        add(*match.span(), (int(match[1]), int(match[2]), int(match[3])))
    for match in _SLASHED.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        add(*match.span(), (year, second, first), *([(year, first, second)] if match[2] == "/" else []))
    for match in _EAST.finditer(text):
        add(*match.span(), (int(match[1] or 0), int(match[2]), int(match[3] or 0)))
    for pattern in _DATES:
        for match in pattern.finditer(text):
            parts = match.groupdict()
            day, of_year = parts.get("day"), parts.get("year")
            name = parts["month"].casefold()
            if not day and not of_year and (name in words.MONTHS_THAT_ARE_WORDS or len(name) < 4):
                continue
            digits = re.match(r"\d+", day) if day else None
            number = int(digits.group()) if digits else 0
            add(*match.span(), (int(of_year or 0), words.MONTHS[name], number))
    return sorted(found, key=lambda date: date.start)
