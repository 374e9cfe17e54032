"""Sphinx extension: the directive `benchmark-results`, tables from `benchmarks/results/*.json`.

A result file is one JSON object. `title` and `note` are its words, `rows` (a list of objects) is its table, and
everything else that is a plain value or an object of plain values says where the numbers come from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


class BenchmarkResults(SphinxDirective):
    """One section a result file; a sentence if there is none."""

    def run(self) -> list[nodes.Node]:
        """Build the sections."""
        self.env.note_dependency(str(RESULTS))
        files = sorted(RESULTS.glob("*.json"))
        if not files:
            return [nodes.paragraph(text="No results have been stored yet.")]
        sections = []
        for path in files:
            self.env.note_dependency(str(path))
            sections.append(self.section(path, json.loads(path.read_text(encoding="utf-8"))))
        return sections

    def section(self, path: Path, result: dict[str, Any]) -> nodes.section:
        """One result file as a section: title, note, table, origin."""
        title = result.get("title") or path.stem.replace("_", " ").capitalize()
        section = nodes.section(ids=[nodes.make_id(path.stem)], names=[nodes.fully_normalize_name(title)])
        section += nodes.title(text=title)
        if result.get("note"):
            section += nodes.paragraph(text=result["note"])
        for name, value in result.items():
            if is_table(value):
                if name != "rows":
                    section += nodes.paragraph("", "", nodes.strong(text=words(name)))
                section += table(value)
        section += origin(path, result)
        return section


def is_table(value: Any) -> bool:
    """Whether a value of a result file is a list of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def words(name: str) -> str:
    """A JSON name as words."""
    return name.replace("_", " ").capitalize()


def text(value: Any) -> str:
    """A JSON value as a reader wants it: three digits, thousands separated."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return str(value)


def table(rows: list[dict[str, Any]]) -> nodes.table:
    """A docutils table with the union of the rows' columns, in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict)))
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    head = nodes.row()
    head += [nodes.entry("", nodes.paragraph(text=words(name))) for name in columns]
    body = nodes.tbody()
    for row in rows:
        line = nodes.row()
        line += [nodes.entry("", nodes.paragraph(text=text(row.get(name)))) for name in columns]
        body += line
    group += nodes.thead("", head)
    group += body
    return nodes.table("", group)


def origin(path: Path, result: dict[str, Any]) -> nodes.field_list:
    """Where the numbers come from: file, machine, versions, command."""
    fields = nodes.field_list()
    entries = {"file": f"benchmarks/results/{path.name}"}
    for name, value in result.items():
        if name in ("title", "note") or is_table(value):
            continue
        if isinstance(value, dict):
            value = "; ".join(f"{key} {text(item)}" for key, item in value.items() if not isinstance(item, dict))
        entries[name] = text(value)
    for name, value in entries.items():
        body = nodes.field_body("", nodes.paragraph(text=value))
        fields += nodes.field("", nodes.field_name(text=words(name)), body)
    return fields


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("benchmark-results", BenchmarkResults)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
