"""Line plots of cost against length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from longsum_lib.viz.figures import STYLE, axes_or_new, import_matplotlib
from longsum_lib.viz.palette import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_cost(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float | None]]],
    *,
    ylabel: str,
    xlabel: str = "input length (tokens)",
    ax: Axes | None = None,
    title: str | None = None,
    styles: Mapping[str, int] | None = None,
) -> Axes:
    """Draw cost against length on two logarithmic axes, where a power of the length is a straight line.

    Args:
        lines: Name -> ``(lengths, costs)``; a cost of ``None`` (not measured) leaves a gap.
        ylabel: What is measured, with its unit, for example ``"time (s)"``.
        xlabel: Label of the other axis.
        ax: Axes to draw into; a new figure if ``None``.
        title: Title above the plot.
        styles: Name -> index into the palette's series, to keep one model's style through several plots.

    Returns:
        The axes; its figure is ``ax.figure``.

    Raises:
        ValueError: If there are more lines than styles.

    Example:
        >>> ax = draw_cost({"full": ([1024, 4096], [1.0, 16.0])}, ylabel="operations")
        >>> ax.get_xscale(), ax.get_yscale()
        ('log', 'log')
    """
    if len(lines) > len(SERIES):
        raise ValueError(f"{len(lines)} lines, but only {len(SERIES)} can be told apart; draw two plots")
    matplotlib = import_matplotlib()
    from matplotlib.ticker import FuncFormatter, NullLocator

    styles = styles or {}
    with matplotlib.rc_context(STYLE):
        ax = axes_or_new(ax, height=3.4)
        for index, (name, (lengths, costs)) in enumerate(lines.items()):
            color, dash, marker = SERIES[styles.get(name, index)]
            values = [float("nan") if cost is None else cost for cost in costs]
            ax.plot(
                lengths, values, color=color, linestyle=dash, marker=marker, markersize=4, linewidth=1.5, label=name
            )
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.set_xticks(sorted({length for lengths, _ in lines.values() for length in lengths}))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.grid(True, which="major")
        ax.set_axisbelow(True)
        if title:
            ax.set_title(title)
        ax.legend(loc="upper left")
    return ax
