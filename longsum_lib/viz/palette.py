"""One palette for the whole book, with one meaning per colour.

The colours are those of Okabe and Ito, which stay apart for readers with any common colour blindness. Each kind
of attention also has a pattern, so a picture says the same in grey. Needs nothing but Python.

Example:
    >>> from longsum_lib.viz.palette import KINDS
    >>> [kind.name for kind in KINDS]
    ['none', 'local', 'global', 'selected', 'random', 'padding']
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Why a query attends to a key, and how that looks.

    Attributes:
        code: Number of the kind in a matrix of kinds.
        name: Short name, used in code.
        label: What a legend says.
        color: Fill colour, ``#rrggbb``.
        hatch: matplotlib's hatch, an empty string for a plain fill.
        hatch_color: Colour of the hatch's lines.
    """

    code: int
    name: str
    label: str
    color: str
    hatch: str
    hatch_color: str


NONE, LOCAL, GLOBAL, SELECTED, RANDOM, PADDING = range(6)

#: All kinds; the position is the code.
KINDS = (
    Kind(NONE, "none", "not attended", "#ffffff", "", "#ffffff"),
    Kind(LOCAL, "local", "local", "#0072b2", "", "#0072b2"),
    Kind(GLOBAL, "global", "global", "#e69f00", "/////", "#a86f00"),
    Kind(SELECTED, "selected", "sparse (selected)", "#009e73", ".....", "#00553e"),
    Kind(RANDOM, "random", "random", "#cc79a7", "xxxxx", "#8f4570"),
    Kind(PADDING, "padding", "padding", "#d5d5d5", "\\\\\\\\\\", "#9a9a9a"),
)

INK = "#1b1f24"  # text and axes
MUTED = "#57606a"  # ticks, secondary text
GRID = "#d8dee4"  # grid lines, the frame of a matrix

# Lines of a plot: colour, dash and marker change together, so that no reader depends on the colour.
SERIES = (
    ("#1b1f24", "-", "o"),
    ("#0072b2", "--", "s"),
    ("#d55e00", "-.", "^"),
    ("#009e73", ":", "D"),
    ("#cc79a7", (0, (5, 1)), "v"),
    ("#56b4e9", (0, (3, 1, 1, 1)), "P"),
)
