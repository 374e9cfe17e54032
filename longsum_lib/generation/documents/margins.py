"""What a printed page repeats or sets apart: running heads, page numbers, footnotes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from longsum_lib.generation.documents.page_lines import Line, Piece, rows

# How many rows at the top and at the bottom of a page may be running heads or feet.
_OUTER_ROWS = 3
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_Repeated = tuple[set[tuple[str, int]], set[tuple[int, int]]]
_FOOTNOTE = re.compile(r"(?:\d{1,3}|[*†‡§¶#]{1,3}|\[\d{1,3}\])[.)]?\s*[^\W\d_]")


def without_running_heads(pages: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Drop the rows that repeat at the same height on several pages, numbers aside.

    A row is dropped when it is one of the three outermost rows of its page, stands at the same height with the same
    words on at least three pages (two, if the document has no more than four), and no kept row stands further out.
    Where at least half of the pages have such a row, whatever stands alone at that height in that size is one too: a
    chapter's title over a chapter of one page.

    Args:
        pages: The pieces of each page.

    Returns:
        The pieces that are left of each page.

    Example:
        >>> def page(n):
        ...     return [Piece(f"Annual report {n}", 50, 90, 800, 9), Piece("Text " + "abc"[n - 1], 50, 90, 700, 10)]
        >>> [[piece.text for piece in kept] for kept in without_running_heads([page(1), page(2), page(3)])]
        [['Text a'], ['Text b'], ['Text c']]
    """
    rows_of = [rows(pieces) for pieces in pages]
    least = 3 if len(pages) > 4 else 2
    kept = []
    repeated = [_repeated(rows_of, edge, least) for edge in (0, 1)]
    for page_rows in rows_of:
        first, last = 0, len(page_rows)
        while first < min(_OUTER_ROWS, last) and _matches(page_rows[first], repeated[0]):
            first += 1
        while last > max(first, len(page_rows) - _OUTER_ROWS) and _matches(page_rows[last - 1], repeated[1]):
            last -= 1
        kept.append([piece for row in page_rows[first:last] for piece in row])
    return kept


def _key(row: Sequence[Piece]) -> str:
    text = " ".join(piece.text for piece in row).casefold()
    # Left and right pages have the same head the other way round.
    return " ".join(sorted(_NUMBER.sub("#", text).split()))


def _height(row: Sequence[Piece]) -> int:
    return round(row[0].base / 3)


def _repeated(rows_of: Sequence[Sequence[Sequence[Piece]]], edge: int, least: int) -> _Repeated:
    """``(word, height)`` of the rows that repeat at one edge, and ``(height, size)`` where half of the pages do."""
    counts: Counter[tuple[str, int]] = Counter()
    heights: dict[tuple[int, int], set[int]] = defaultdict(set)
    outer = [page[:_OUTER_ROWS] if edge == 0 else page[-_OUTER_ROWS:] for page in rows_of]
    for page in outer:
        # A height on the border of two steps counts for both.
        counts.update({(_key(row), height) for row in page for height in _near(row)})
    found = {key for key, count in counts.items() if count >= least and key[0]}
    for number, page in enumerate(outer):
        for row in page:
            if any((_key(row), height) in found for height in _near(row)):
                heights[(_height(row), round(row[0].size))].add(number)
    usual = {key for key, numbers in heights.items() if 2 * len(numbers) >= len(rows_of) and len(rows_of) > 4}
    return found, usual


def _near(row: Sequence[Piece]) -> tuple[int, int]:
    height = _height(row)
    return height, height + (1 if row[0].base / 3 > height else -1)


def _matches(row: Sequence[Piece], repeated: _Repeated) -> bool:
    found, usual = repeated
    same_words = any((_key(row), height) in found for height in _near(row))
    return same_words or (_height(row), round(row[0].size)) in usual


def split_footnotes(lines: Sequence[Line], body: float) -> tuple[list[Line], list[Line]]:
    """Take the footnotes out of a page's lines: small print at the end of a column that begins with a mark.

    Args:
        lines: The lines of one page, in reading order.
        body: Size of the running text.

    Returns:
        The running text and the footnotes.
    """
    text: list[Line] = []
    notes: list[Line] = []
    for _, column in _by_column(lines):
        end = len(column)
        while end and column[end - 1].size < 0.93 * body:
            end -= 1
        marked = [i for i in range(end, len(column)) if _FOOTNOTE.match(column[i].text)]
        start = marked[0] if marked and end else len(column)
        text += column[:start]
        notes += column[start:]
    return text, notes


def _by_column(lines: Sequence[Line]) -> list[tuple[int, list[Line]]]:
    columns: dict[int, list[Line]] = {}
    for line in lines:
        columns.setdefault(line.column, []).append(line)
    return list(columns.items())
