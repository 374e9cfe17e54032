"""British spelling with -ize in everything that readers read; codespell (`make lint`) looks for misspellings."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# American, and British with -ise, as the beginnings of words: what is written instead.
WRONG = {
    "analyz": "analys",
    "artifact": "artefact",
    "behavior": "behaviour",
    "catalog ": "catalogue ",
    "center": "centre",
    "color": "colour",
    "defense": "defence",
    "favor": "favour",
    "fulfill ": "fulfil ",
    "gray": "grey",
    "generalis": "generaliz",
    "judgment": "judgement",
    "labeled": "labelled",
    "license for": "licence for",
    "minimis": "minimiz",
    "modeling": "modelling",
    "neighbor": "neighbour",
    "normalis": "normaliz",
    "optimis": "optimiz",
    "organis": "organiz",
    "quantis": "quantiz",
    "recognis": "recogniz",
    "summaris": "summariz",
    "tokenis": "tokeniz",
    "traveled": "travelled",
}
PATTERN = re.compile(rf"\b(?:{'|'.join(WRONG)})", re.IGNORECASE)
# Names keep their spelling.
ALLOWED = re.compile(r"World Trade Center")
FENCE = re.compile(r"^ *```.*?^ *``` *$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|<[^>]*>|https?://\S+|\$[^$]*\$")


def prose(text: str) -> str:
    """Markdown without its code, links' targets and formulas."""
    text = re.sub(r"^---\n(.*?)^---$", lambda front: front[1], text, count=1, flags=re.DOTALL | re.MULTILINE)
    return ALLOWED.sub("", CODE.sub("", FENCE.sub("", text)))


def sources() -> list[Path]:
    pages = [page for page in (ROOT / "book").rglob("*.md") if "vendor" not in page.parts]
    notebooks = [path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    return sorted([*pages, *notebooks, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])


def text_of(path: Path) -> str:
    if path.suffix == ".md":
        return prose(path.read_text())
    cells = json.loads(path.read_text())["cells"]
    return "\n".join(prose("".join(cell["source"])) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_spelling_is_british(path):
    found = [f"{match[0]}…, write {WRONG[match[0].lower()]}…" for match in PATTERN.finditer(text_of(path))]
    assert found == []


def test_the_check_reads_prose_and_not_code():
    assert PATTERN.search(prose("The color of it"))
    assert PATTERN.search(prose("---\ndescription: Its behavior\n---\n"))
    assert not PATTERN.search(prose("The `color` of [it](color.md)\n\n```python\ncolor = 1\n```\n"))
    assert not PATTERN.search(prose("colour, centre, summarize, generalize"))
