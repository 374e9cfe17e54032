"""Citations of notebooks as links that work anywhere: on the site, on GitHub and on Colab.

An author writes MyST's role, as on a page: ``{cite:p}`beltagy2020longformer` ``. `notebooks.py sync` makes it a link to
the paper with its authors and year, both from `references.bib`, since only the site knows what the role means.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pybtex.database import Entry, parse_file

ROOT = Path(__file__).resolve().parents[1]
ROLE = re.compile(r"\{cite:(?P<kind>[pt])\}`(?P<keys>[^`]+)`")


@cache
def references() -> dict[str, Entry]:
    """Return the entries of `references.bib` by their keys."""
    return dict(parse_file(str(ROOT / "references.bib")).entries)


def authors(entry: Entry) -> str:
    """Return the last names of an entry's authors, at most two.

    Example:
        >>> authors(references()["beltagy2020longformer"])
        'Beltagy et al.'
    """
    names = [" ".join(_plain(part) for part in (*p.prelast_names, *p.last_names)) for p in entry.persons["author"]]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def link(key: str, kind: str) -> str:
    """Return the link of a citation: `p` is one in brackets, `t` one that is part of the sentence.

    Example:
        >>> link("beltagy2020longformer", "t")
        '[Beltagy et al. (2020)](https://arxiv.org/abs/2004.05150)'
    """
    entry = references()[key]
    year = entry.fields["year"]
    text = f"{authors(entry)}, {year}" if kind == "p" else f"{authors(entry)} ({year})"
    return f"[{text}]({entry.fields['url']})"


def as_links(text: str) -> str:
    """Replace the roles of a Markdown cell by links.

    Raises:
        KeyError: `references.bib` has no such key.
    """

    def replaced(match: re.Match[str]) -> str:
        links = [link(key.strip(), match["kind"]) for key in match["keys"].split(",")]
        return f"({'; '.join(links)})" if match["kind"] == "p" else " and ".join(links)

    return ROLE.sub(replaced, text)


def cited(text: str) -> set[str]:
    """Return the keys of the entries that a text names by its links."""
    return {key for key in references() for kind in "pt" if link(key, kind) in text}


def _plain(name: str) -> str:
    return name.replace(r"{\L}", "Ł").replace("{", "").replace("}", "")
