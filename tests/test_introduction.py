"""The introduction lists the book as the contents have it."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "ext"))

import book_chapters  # noqa: E402

PAGE = (ROOT / "book" / "introduction.md").read_text()
# Parts that are no chapters of the book's argument.
ELSEWHERE = {"Start", "Solutions", "Reference"}


def test_every_part_with_chapters_is_introduced():
    block = re.search(r"^```\{chapters\}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1]
    named = [line.split(":")[0] for line in block.splitlines()]
    assert named == [
        caption for caption in book_chapters.parts((ROOT / "_toc.yml").read_text()) if caption not in ELSEWHERE
    ]
    assert all(len(line.split(": ", 1)[1]) > 40 for line in block.splitlines())


def test_parts_are_read_from_the_contents():
    contents = "parts:\n- caption: A\n  chapters:\n  - file: x\n  - file: y\n    sections:\n    - file: z\n"
    assert book_chapters.parts(contents) == {"A": ["x", "y"]}


def test_every_explorer_is_introduced():
    from longsum_lib.viz import explorers

    kinds = ("Explorer", "Calculator", "Summarizer")
    names = [name for name in explorers.__all__ if name.endswith(kinds) and name != "Explorer"]
    listed = re.search(r"explorers\*\* answer.*?\n\n((?:- .*\n(?:  .*\n)*)+)", PAGE)[1]
    assert listed.count("\n- ") + 1 == len(names) == 6
