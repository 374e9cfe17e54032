"""Read the stored benchmark results: every measured number of the book comes from here.

Example:
    >>> stored = load_results()
    >>> sorted(stored.row("encoder_time", length=16384, allocator="default", dtype="float32"))[:3]
    ['allocator', 'bound_seconds', 'dtype']
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""One case: columns and their values as JSON has them; which columns there are depends on the table."""

_PACKAGE = Path(__file__).resolve().parents[1]
# A clone has the newest files; an installed package carries a copy of the stored one.
_FOLDERS = (_PACKAGE.parent / "benchmarks" / "results", _PACKAGE / "data" / "benchmarks")


@dataclass(frozen=True)
class Results:
    """One result file.

    Attributes:
        content: the file as it is.
    """

    content: dict[str, Any]

    @property
    def machine(self) -> dict[str, str | int]:
        """Processor, cores, instruction sets, memory."""
        machine: dict[str, str | int] = self.content["machine"]
        return machine

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python, this library and its dependencies."""
        versions: dict[str, str] = self.content["versions"]
        return versions

    @property
    def settings(self) -> dict[str, str | int | float]:
        """What was the same in all cases: width, window, seed."""
        settings: dict[str, str | int | float] = self.content["settings"]
        return settings

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        lists = {name: value for name, value in self.content.items() if isinstance(value, list)}
        return [name for name, rows in lists.items() if all(isinstance(row, dict) for row in rows)]

    def rows(self, table: str, **where: str | int | float | bool | None) -> list[Row]:
        """Return the rows of a table whose columns equal what is asked for.

        Args:
            table: name of the table.
            **where: column = value.

        Returns:
            The rows in the file's order: by length, then beams, then allocator.

        Raises:
            KeyError: if there is no such table.
        """
        if table not in self.tables:
            raise KeyError(f"no table {table!r} in these results; there are: {', '.join(self.tables)}")
        return [row for row in self.content[table] if all(row.get(k) == v for k, v in where.items())]

    def row(self, table: str, **where: str | int | float | bool | None) -> Row:
        """Return the one row of a table that fits.

        Raises:
            KeyError: if none or several fit.
        """
        found = self.rows(table, **where)
        if len(found) != 1:
            asked = ", ".join(f"{k}={v!r}" for k, v in where.items())
            raise KeyError(f"{len(found)} rows of {table} have {asked or 'no condition'}; expected exactly one")
        return found[0]

    def series(
        self, table: str, x: str, y: str, **where: str | int | float | bool | None
    ) -> tuple[list[Any], list[Any]]:
        """Return two columns of the rows that fit, for :func:`.curves.draw_cost`.

        A value that was not measured is ``None``.
        """
        found = self.rows(table, **where)
        return [row.get(x) for row in found], [row.get(y) for row in found]

    def caption(self) -> str:
        """Say in one sentence where and when this was measured, and in how many runs if there were several."""
        machine, versions = self.machine, self.versions
        cores = "one core" if machine["cores"] == 1 else f"{machine['cores']} cores"
        runs = len(self.content.get("dates", ()))
        return (
            f"Measured on {cores} of an {machine['processor']}, torch {versions['torch']}, "
            f"transformers {versions['transformers']}, {self.content['date']}"
            f"{f', the lowest ratio of up to {runs} runs' if runs > 1 else ''}."
        )


def load_results(name: str = "cpu") -> Results:
    """Load a result file.

    Args:
        name: ``"cpu"`` for the stored one, ``"quick"`` for what ``make bench`` wrote on this machine.

    Returns:
        Its tables.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    for folder in _FOLDERS:
        path = folder / f"{name}.json"
        if path.is_file():
            return Results(json.loads(path.read_text(encoding="utf-8")))
    raise FileNotFoundError(f"no results named {name!r} in {_FOLDERS[0]}; run `make bench` to measure this machine")
