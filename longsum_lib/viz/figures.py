"""How every figure of the book is made, shown and stored: same size, same type, always with words beside it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longsum_lib.viz.drawn import prove
from longsum_lib.viz.palette import GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 6.4
DPI = 150
MAX_PNG_BYTES = 60 * 1024
MAX_ALT = 250

STYLE = {
    "axes.edgecolor": MUTED,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.color": MUTED,
    "ytick.labelsize": 8,
}


def import_matplotlib() -> Any:
    """Return ``matplotlib``, or raise an error that names the extra to install."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "longsum_lib.viz draws with matplotlib, which is not installed; "
            "install it with: pip install 'longsum-lib[viz]'"
        ) from error
    return matplotlib


def new_figure(rows: int = 1, columns: int = 1, *, height: float = 3.2, **options: Any) -> tuple[Figure, Any]:
    """Make a figure of the book's width, in the book's style.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        height: Height in inches; the width is always 6.4.
        **options: Passed to matplotlib's ``Figure.subplots``.

    Returns:
        ``(figure, axes)``; ``axes`` is one ``Axes`` or an array of them, as in matplotlib.
    """
    matplotlib = import_matplotlib()
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        # Not made through pyplot: nothing global remembers the figure, and no front end shows it a second time.
        figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(rows, columns, **options)
    return figure, axes


def axes_or_new(ax: Axes | None, height: float) -> Axes:
    """Return the given axes, or the axes of a new figure."""
    return new_figure(height=height)[1] if ax is None else ax


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure as a PNG: the same bytes on every run, small enough to be stored in a notebook.

    Args:
        figure: A matplotlib figure.

    Returns:
        The PNG file, 150 dots per inch, at most 60 KB.

    Raises:
        ValueError: If the figure needs more than 60 KB.
    """
    matplotlib = import_matplotlib()
    from PIL import Image

    drawn = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    small = io.BytesIO()
    picture = Image.open(drawn).convert("RGB")
    # 256 colours hold a chart without a visible difference and take about a third of the bytes.
    picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        small, format="PNG", optimize=True, dpi=(DPI, DPI)
    )
    if small.tell() > MAX_PNG_BYTES:
        raise ValueError(
            f"the picture has {small.tell():,} bytes, the limit is {MAX_PNG_BYTES:,}; "
            "draw fewer cells, points or panels"
        )
    return small.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG file and return its path."""
    path = Path(path)
    path.write_bytes(png_bytes(figure))
    return path


def show(figure: Figure, *, alt: str, caption: str, name: str | None = None, within: float = 0.0) -> None:
    """Show a figure as the output of a notebook cell, with its words.

    Jupyter and Colab read the alt text from the output; ``tools/notebooks.py normalise`` copies alt text and
    caption to the cell's metadata, where the book reads them. Show one figure a cell.

    Args:
        figure: A matplotlib figure.
        alt: What is to be seen, for a reader who does not see it; at most 250 characters.
        caption: What the figure shows: the finding, in a sentence or two.
        name: Label to refer to the figure by, ``fig-NN-slug``.
        within: How far the book's tests let its numbers lie from the record: for what a notebook trains, which
            processors that add in another order end elsewhere.

    Raises:
        ValueError: If alt text or caption is empty or the alt text too long, or the picture too large; in the book's
            tests (:mod:`longsum_lib.viz.drawn`) also if the figure draws something else than its record says.
    """
    if not alt.strip() or not caption.strip():
        raise ValueError("a figure needs an alt text (what is to be seen) and a caption (what it shows)")
    if len(alt) > MAX_ALT:
        raise ValueError(f"the alt text has {len(alt)} characters, the limit is {MAX_ALT}; move detail to the caption")
    from IPython.display import display

    picture = base64.b64encode(png_bytes(figure)).decode("ascii")
    prove(figure, name, within)
    figure_words = {"caption": caption, **({"name": name} if name else {})}
    display(
        {"image/png": picture, "text/plain": f"Figure: {alt}"},
        raw=True,
        metadata={"image/png": {"alt": alt}, "longsum": figure_words},
    )
    _forget(figure)


def _forget(figure: Figure) -> None:
    """Close a figure that pyplot made, or a notebook would show it again at the end of the cell."""
    import sys

    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)
