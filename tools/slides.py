"""Six lectures as slides, built from the notebooks: ``python -m tools.slides`` writes one HTML file a lecture.

A chapter gives a slide for its question, one for each figure with its caption, one for each table that it shows, one
for its summary and one for its first exercises. Nothing is written twice: a lecture changes when its chapters do.
The files hold their pictures, load nothing, and are read with the arrow keys or printed, one slide a page.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from book.ext.book_mathml import to_mathml

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "_build" / "slides"
LECTURES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("What a document costs", (1, 2)),
    ("Windows, blocks and global tokens", (3, 4)),
    ("Distances, summaries, sparse and random keys", (5, 6, 7)),
    ("Whole models", (8, 9, 10, 11, 12)),
    ("Writing, memory, half precision", (13, 14, 15, 16, 17)),
    ("Is it right, and why?", (18, 19, 20)),
)
EXERCISES = 2  # of each chapter, the easy ones
STYLE = """
html { scroll-snap-type: y mandatory; font: 1.5rem/1.45 system-ui, sans-serif; color-scheme: light dark; }
body { margin: 0; }
section { box-sizing: border-box; min-height: 100vh; padding: 4vh 6vw; scroll-snap-align: start;
  display: flex; flex-direction: column; justify-content: center; }
section > * { max-width: 60rem; }
h1, h2 { line-height: 1.2; margin: 0 0 .6em; }
img { max-width: 100%; max-height: 62vh; background: #fff; border-radius: 6px; align-self: flex-start; }
figcaption, footer, caption { font-size: 1.05rem; opacity: .85; text-align: left; }
figure { margin: 0; }
table { border-collapse: collapse; font-size: 1.05rem; }
th, td { padding: .3em .8em; border-bottom: 1px solid #8886; }
li { margin-bottom: .5em; }
@media (max-width: 40rem) { html { font-size: 1.05rem; scroll-snap-type: none; } section { min-height: 0; } }
@media print { section { break-after: page; height: 100vh; } }
"""
KEYS = """
addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const slides = [...document.querySelectorAll("section")];
  const now = slides.findIndex((slide) => slide.getBoundingClientRect().bottom > innerHeight / 2);
  slides[Math.min(slides.length - 1, Math.max(0, now + step))].scrollIntoView();
});
"""


def chapter(number: int) -> Path:
    """The notebook of a chapter.

    Raises:
        ValueError: if there is none, or more than one.
    """
    found = sorted((ROOT / "notebooks").glob(f"{number:02}_*.ipynb"))
    if len(found) != 1:
        raise ValueError(f"chapter {number} has {len(found)} notebooks in {ROOT / 'notebooks'}, expected one")
    return found[0]


def words(markdown: str) -> str:
    """Markdown as HTML: formulas as MathML, links to other chapters as their words."""
    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        formulas.append(to_mathml(match[1] or match[2], block=match[1] is not None))
        return f"FORMULA{len(formulas) - 1}END"

    text = re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", keep, markdown, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    page: str = MarkdownIt("commonmark").enable("table").render(text)
    return re.sub(r"FORMULA(\d+)END", lambda match: formulas[int(match[1])], page)


def section(title: str, body: str) -> str:
    """One slide."""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>"


def slides(notebook: dict[str, Any]) -> Iterator[str]:
    """The slides of a chapter, in its order."""
    cells = notebook["cells"]
    title = _source(cells[0]).removeprefix("# ").strip()
    opening = next(c for c in cells[1:] if c["cell_type"] == "markdown" and "**Runs on:**" not in _source(c))
    yield section(title, words(_source(opening)))
    heading = title
    for cell in cells:
        source = _source(cell)
        if cell["cell_type"] == "markdown":
            named = re.findall(r"^## (.+)$", source, re.MULTILINE)
            heading = named[-1] if named else heading
            for part, limit in (("Summary", None), ("Exercises", EXERCISES)):
                found = re.search(rf"^## {part}\n(.*?)(?=^## |^Next: |\Z)", source, re.MULTILINE | re.DOTALL)
                if found:
                    yield section(f"{title}: {part.lower()}", words(_first(found[1], limit)))
            continue
        for output in cell["outputs"]:
            yield from _shown(output, cell, heading)


def _shown(output: dict[str, Any], cell: dict[str, Any], heading: str) -> Iterator[str]:
    data = output.get("data", {})
    figure = cell["metadata"].get("mystnb", {}).get("figure")
    if "image/png" in data and figure:
        alt = html.escape(cell["metadata"]["mystnb"]["image"]["alt"], quote=True)
        picture = f'<img src="data:image/png;base64,{"".join(data["image/png"]).strip()}" alt="{alt}">'
        yield section(heading, f"<figure>{picture}<figcaption>{words(figure['caption'])}</figcaption></figure>")
    elif "longsum-table" in "".join(data.get("text/html", "")):
        yield section(heading, "".join(data["text/html"]))


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _first(text: str, limit: int | None) -> str:
    """A numbered list up to some number, without the words around it; all of a text if there is no limit."""
    if limit is None:
        return text
    items = re.findall(r"^\d+\. .*?(?=^\d+\. |\Z)", text, re.MULTILINE | re.DOTALL)
    return "".join(items[:limit])


def lecture(number: int) -> str:
    """One lecture as a whole page; the first is 1."""
    title, chapters = LECTURES[number - 1]
    name = f"{number}. {html.escape(title)}"
    parts = [f"<section>\n<h1>{name}</h1>\n<footer>Arrow keys turn the pages.</footer>\n</section>"]
    for each in chapters:
        parts += slides(json.loads(chapter(each).read_text(encoding="utf-8")))
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{name}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n<script>{KEYS}</script>\n</body>\n</html>\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Write all lectures."""
    parser = argparse.ArgumentParser(prog="python -m tools.slides", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the lectures")
    folder = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, len(LECTURES) + 1):
        path = folder / f"lecture-{number}.html"
        page = lecture(number)
        path.write_text(page, encoding="utf-8")
        print(f"{path}: {page.count('<section>')} slides")


if __name__ == "__main__":
    main()
