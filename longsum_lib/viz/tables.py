"""Tables that are tables: HTML where a page can show it, columns of text where it cannot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Cell = str | int | float | bool | None
"""What a cell may hold; ``None`` stands for what was not measured."""

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table that a notebook shows by itself; print it elsewhere.

    Attributes:
        header: Names of the columns.
        rows: The cells as they are read, one tuple a row.
        right: Whether each column holds numbers, which stand at the right.
        caption: What the table says, or nothing.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]
    caption: str = ""

    def __str__(self) -> str:
        """Columns of text, two blanks between them."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]

        def line_of(cells: Sequence[str]) -> str:
            placed = zip(cells, widths, self.right, strict=True)
            return "  ".join(c.rjust(width) if right else c.ljust(width) for c, width, right in placed).rstrip()

        text = [line_of(self.header), "  ".join("-" * width for width in widths), *map(line_of, self.rows)]
        return "\n".join(([self.caption, ""] if self.caption else []) + text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table as HTML, in a box that scrolls where the page is narrower."""

        def side(column: int) -> str:
            return f' style="text-align:{"right" if self.right[column] else "left"}"'

        head = "".join(f'<th scope="col"{side(i)}>{escape(name)}</th>' for i, name in enumerate(self.header))
        body = "\n".join(
            "<tr>"
            + f'<th scope="row"{side(0)}>{escape(row[0])}</th>'
            + "".join(f"<td{side(i)}>{escape(cell)}</td>" for i, cell in enumerate(row[1:], 1))
            + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(self.caption)}</caption>\n" if self.caption else ""
        return (
            '<div class="longsum-table" style="overflow-x:auto" tabindex="0">\n<table class="table">\n'
            f"{caption}<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
        )

    def to_csv(self) -> str:
        """Header and rows as comma-separated values, for a spreadsheet."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue()


def table(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], *, digits: int | Sequence[int] = 2, caption: str = ""
) -> Table:
    """Make a table of a notebook: the last expression of a cell is shown.

    Args:
        header: Names of the columns.
        rows: Cells, as many a row as there are columns. Integers get commas, floats ``digits`` after the point,
            ``None`` a dash; strings stay as they are.
        digits: Digits behind the point of floats: one number, or one a column.
        caption: What the table says.

    Returns:
        The table; ``str`` of it is text, ``to_csv`` is for spreadsheets.

    Raises:
        ValueError: If there is no column, or a row or ``digits`` has not one entry a column.

    Example:
        >>> table(["model", "tokens", "seconds"], [["LED", 16384, 2.171], ["LSG", 4096, None]])
        model  tokens  seconds
        -----  ------  -------
        LED    16,384     2.17
        LSG     4,096        –
    """
    columns = len(header)
    if not columns:
        raise ValueError("the table has no columns; expected a name for each")
    places = [digits] * columns if isinstance(digits, int) else list(digits)
    if len(places) != columns:
        raise ValueError(f"digits has {len(places)} entries, expected {columns}, one a column")
    cells = [tuple(row) for row in rows]
    for number, row in enumerate(cells):
        if len(row) != columns:
            raise ValueError(f"row {number} has {len(row)} cells, expected {columns}, one a column")
    right = [all(_is_number(row[i]) or row[i] is None for row in cells) and bool(cells) for i in range(columns)]
    read = tuple(tuple(_words(cell, places[i]) for i, cell in enumerate(row)) for row in cells)
    return Table(tuple(header), read, tuple(right), caption)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _words(cell: Cell, digits: int) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.{digits}f}" if isinstance(cell, float) else cell
