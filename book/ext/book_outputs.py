"""Sphinx extension: no output of a cell is cut at the right.

A line of 86 characters fits into the column beside both side bars. What is wider is set smaller, and what is wider
still breaks its lines. The classes are in `_static/custom.css`.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

FITS = 86
FITS_SMALLER = 102


def width_class(text: str) -> str | None:
    """Return the class that a text needs, by its longest line.

    Example:
        >>> width_class("x" * 86), width_class("x" * 87), width_class("x" * 200)
        (None, 'wide', 'wider')
    """
    longest = max(map(len, text.splitlines()), default=0)
    if longest <= FITS:
        return None
    return "wide" if longest <= FITS_SMALLER else "wider"


def mark_wide(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Mark the outputs that are too wide for the column."""
    for block in doctree.findall(nodes.literal_block):
        name = width_class(block.astext()) if "output" in block["classes"] else None
        if name:
            block["classes"].append(name)


def setup(app: Sphinx) -> dict:
    """Register the extension."""
    app.connect("doctree-resolved", mark_wide)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
