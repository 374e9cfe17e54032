"""Sentences of a text in many languages, as offsets, by rules that need no model.

A sentence ends at a mark (``.``, ``!``, ``?``, ``。`` …) with the quotes and brackets that close behind it. A full
stop is no end after an abbreviation, an initial, a list's number or a German ordinal; what such words are stands in
``sentence_rules``. Thai, which has no mark, is cut at its blanks. Blank lines, form feeds and lines that look like
headings or list items end a sentence whatever they end in; other line ends are white space.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator

from longsum_lib.generation import sentence_rules as rules

_PARAGRAPH = re.compile(r"\n[ \t\r\u00a0]*\n\s*|[\f\u2029]\s*")
_LATIN_END, _WIDE_END = ".!?…", "。！？．｡।॥؟۔։።။។"
_CLOSE = r"\"'”’»)\]}」』）】》〉›"
# Behind a Latin mark the opening quotes of English and French close a German or Danish quotation: „…“ »…«.
_MARKS = re.compile(
    rf"(?:(?P<wide>[{_WIDE_END}][{_LATIN_END}{_WIDE_END}]*)(?P<wide_close>[{_CLOSE}]*)"
    rf"|(?P<mark>[{_LATIN_END}]+(?![{_WIDE_END}]))"
    rf"(?P<close>(?:[{_CLOSE}]|[“«‹](?=\s|$)|\[[\d,;\s–-]{{1,20}}\]|[⁰¹²³⁴-⁹]+|_+|\*+)*))"
    r"(?P<space>\s*)"
)
_OPEN = "\"'“‘„«‚(\\[{「『（【《〈¿¡–—*_\\-"
_NEXT = re.compile(rf"[{_OPEN}\s]*(?P<word>[^\W_]+)?")
_LAST_WORD = re.compile(r"[^\s(\[“\"„«/]+$")
_THAI_BLANK = re.compile(r"(?<=[\u0e01-\u0e45\u0e47-\u0e4e\u0e80-\u0eff])[ \u00a0]+(?=[\u0e01-\u0e4e\u0e80-\u0eff])")
_THAI = re.compile(r"[\u0e01-\u0e4e\u0e80-\u0eff]")
# What is in brackets, and a quotation in Chinese or Japanese, stays in one piece if it is short.
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_KEPT = re.compile(
    r"\([^()\n]{0,300}\)|（[^（）]{0,300}）|「[^「」]{0,300}」|『[^『』]{0,300}』"
    rf"|“[^“”]{{0,150}}[{_CJK}][^“”]{{0,150}}”"
)
_BULLET = re.compile(r"\s*(?:[-*+•‣▪◦]|#{1,6})\s+\S")
# What may also be the beginning of a wrapped line: "… from 3 to\n12. August".
_NUMBERED = re.compile(r"\s*(?:[–—]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])\s+\S")
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[IVX]{1,5})")
_LOWER_START = re.compile(r"[.!?][\"'”’)]?\s+[a-z]")
_UPPER_START = re.compile(r"[.!?][\"'”’)]?\s+[A-Z]")

SAMPLE = 100_000
"""Characters that say whether a text is German, or written without capitals."""


def split_sentences(text: str) -> list[str]:
    r"""Sentences of a text, as they stand there, without the white space around them.

    Example:
        >>> split_sentences("Am 31. August kam Dr. Weiß. Es war spät.")
        ['Am 31. August kam Dr. Weiß.', 'Es war spät.']
        >>> split_sentences("今天下雨。我们不去了。")
        ['今天下雨。', '我们不去了。']
    """
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    r"""Where the sentences of a text begin and end.

    Args:
        text: Any text, in any language.
        start: Where to begin reading, in characters.
        end: Where to end; None reads to the text's end.

    Yields:
        ``(start, end)`` in characters, ascending, without white space at either end; between two of them there is
        nothing but white space, so that no character is lost.

    Cost:
        O(characters); memory for one paragraph.

    Example:
        >>> list(sentence_spans("He left. She, e.g. in May, stayed."))
        [(0, 8), (9, 34)]
    """
    style = _Style(text[start : start + SAMPLE] if end is None else text[start : min(end, start + SAMPLE)])
    for first, last in paragraph_spans(text, start, end):
        yield from _paragraph_sentences(text, first, last, style)


def paragraph_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    r"""Where the paragraphs of a text begin and end: what stands between blank lines or form feeds.

    Example:
        >>> list(paragraph_spans("One.\n\nTwo\nlines."))
        [(0, 4), (6, 16)]
    """
    end = len(text) if end is None else end
    for gap in _PARAGRAPH.finditer(text, start, end):
        yield from _trimmed(text, start, gap.start())
        start = gap.end()
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if end > start:
        yield start, end


class _Style:
    """What must be known of the whole text: its language, as far as it matters, and whether it has capitals."""

    def __init__(self, sample: str) -> None:
        words = rules.WORD.findall(sample[:20_000].lower())
        self.german = sum(word in rules.GERMAN_WORDS for word in words) > 0.08 * len(words)
        lower, upper = len(_LOWER_START.findall(sample)), len(_UPPER_START.findall(sample))
        self.lower_case = lower > 4 * upper and lower >= 3
        self.thai = _THAI.search(sample) is not None


def _paragraph_sentences(text: str, first: int, last: int, style: _Style) -> Iterator[tuple[int, int]]:
    paragraph = text[first:last]
    begin = 0
    for cut in sorted({*_line_cuts(paragraph), *_mark_cuts(paragraph, style)}):
        yield from _trimmed(text, first + begin, first + cut)
        begin = cut
    yield from _trimmed(text, first + begin, last)


def _line_cuts(paragraph: str) -> Iterator[int]:
    """Line ends that are no mere line wraps: before list items, and after lines too short to be wrapped."""
    if "\n" not in paragraph:
        return
    lines = paragraph.split("\n")
    widest = max(map(len, lines))
    place = 0
    for line, following in itertools.pairwise(lines):
        place += len(line) + 1
        begins = following.lstrip()[:1]
        short = len(line.rstrip()) + len(following.split(maxsplit=1)[0] if following.split() else "") < 0.75 * widest
        open_end = line.rstrip()[-1:] in ",-–—("
        item = _BULLET.match(following) or (
            _NUMBERED.match(following) and (line.rstrip()[-1:] in ".:;!?。；：" or _NUMBERED.match(line))
        )
        title = short and not open_end and (begins.isupper() or begins.isdigit() or begins in "\"'“„«")
        if title or item or line.lstrip().startswith("#"):
            yield place


def _mark_cuts(paragraph: str, style: _Style) -> Iterator[int]:
    kept = [match.span() for match in _KEPT.finditer(paragraph)]
    starts = [start for start, _ in kept]
    begin = 0
    for match in _MARKS.finditer(paragraph):
        end = match.start("space")
        inside = bisect_right(starts, match.start()) - 1
        if inside >= 0 and end < kept[inside][1]:
            continue
        if end < len(paragraph) and _ends(paragraph, begin, match, style):
            begin = match.end()
            yield end
    if style.thai:
        yield from (match.start() for match in _THAI_BLANK.finditer(paragraph))


def _ends(paragraph: str, begin: int, match: re.Match[str], style: _Style) -> bool:
    """Whether a mark ends the sentence that begins at ``begin``."""
    following = paragraph[match.end() : match.end() + 40]
    mark = match["wide"] or match["mark"]
    close = match["wide_close"] or match["close"] or ""
    if match["wide"] or (mark[-1] in "!?…" and rules.is_cjk(following[:1])):
        # A quotation goes on with a particle or with who says it: 「…。」と言った。 “……！”他喊道。
        quoted = close[-1:] and close[-1:] in "」』）”’"
        goes_on = following[:1] in "，、,的" or rules.is_hiragana(following[:1])
        said = paragraph[begin : begin + 1] in "“「『‘" and rules.SAYS.match(following)
        return following[:1] not in _WIDE_END and not (quoted and (goes_on or said))
    if not match["space"]:
        return False
    ahead = _NEXT.match(following)
    word = (ahead["word"] if ahead else None) or ""
    if word[:1].islower() and not style.lower_case:
        return False
    if mark != ".":
        return not (mark[-1] == "…" or mark.endswith("..")) or not word[:1].islower()
    if close:
        return True
    return not _no_stop(paragraph[max(begin, match.start() - 40) : match.start()], word, style)


def _no_stop(before: str, word: str, style: _Style) -> bool:
    """Whether the full stop behind ``before`` belongs to an abbreviation or a number and ends nothing."""
    found = _LAST_WORD.search(before)
    last = found[0] if found else ""
    if _ENUMERATOR.fullmatch(before.strip()):
        return True  # "2. Methods": the number of a list item or heading
    lower = last.lower()
    starts_sentence = word in rules.STARTERS
    if lower in rules.NEVER_LAST:
        return True
    if lower in rules.BEFORE_NUMBER or lower.endswith("str"):
        return word[:1].isdigit() or (len(word) < 5 and bool(rules.ROMAN.fullmatch(word)))
    if lower in rules.SELDOM_LAST or rules.DOTTED.fullmatch(last):
        return not starts_sentence
    if len(last) == 1 and last.isalpha():
        return not starts_sentence
    if last.isdigit() or rules.ROMAN.fullmatch(last):
        if word in rules.AFTER_ORDINAL:
            return True
        return style.german and len(last) <= 4 and not (last.isdigit() and len(last) > 2) and not starts_sentence
    return False
