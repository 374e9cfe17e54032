"""How the stored costs grow with the length: time, memory, fraction of the bound, the crossover with full attention.

Example:
    >>> ax = draw_scaling(load_results(), "time")
    >>> ax.get_ylabel()
    'time (s)'
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from longsum_lib.viz.curves import draw_cost
from longsum_lib.viz.palette import INK, MUTED
from longsum_lib.viz.results import Results, Row, load_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["crossover", "crossover_words", "draw_crossover", "draw_scaling", "growth", "load_results"]

Lines = dict[str, tuple[list[int], list[float]]]


def _fraction(row: Row) -> float | None:
    return row["bound_seconds"] / row["seconds"] if row.get("seconds") and row.get("bound_seconds") else None


# What is drawn: tables of LED and of the other models, a row's value, label of the axis.
KINDS: dict[str, tuple[str, str, Callable[[Row], float | None], str]] = {
    "time": ("encoder_time", "model_time", lambda row: row.get("seconds"), "time (s)"),
    "memory": ("encoder_memory", "model_memory", lambda row: row.get("extra_mib"), "extra memory (MiB)"),
    "bound": ("encoder_time", "model_time", _fraction, "bound / time"),
}


def _lines(results: Results, kind: str) -> Lines:
    """Return each model's lengths and values, under the default allocator."""
    led, others, value, _ = KINDS[kind]
    lines: Lines = {}
    for table in (led, others):
        for row in results.rows(table) if table in results.tables else []:
            found = value(row)
            if found is None or row.get("allocator", "default") != "default":
                continue
            lengths, values = lines.setdefault(row["model"], ([], []))
            lengths.append(row["length"])
            values.append(found)
    return lines


def draw_scaling(results: Results, kind: str, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw one cost of every model's encoder against the length.

    Args:
        results: Stored results.
        kind: ``"time"``, ``"memory"`` or ``"bound"``, the share of the time that the matrix products alone need.
        ax: Axes to draw into; a new figure if ``None``.
        title: Title above the plot.

    Returns:
        The axes.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(map(repr, KINDS))}")
    ax = draw_cost(_lines(results, kind), ylabel=KINDS[kind][3], ax=ax, title=title)
    if kind == "bound":
        ax.set_yscale("linear")
        ax.set_ylim(0, 1)
        ax.legend(loc="lower right", ncols=2)
    return ax


def growth(results: Results, model: str, kind: str = "time", *, short: int = 16384, long: int = 65536) -> float | None:
    """Return how many times more a model's encoder costs at one length than at another; ``None`` if not measured."""
    values = dict(zip(*_lines(results, kind).get(model, ([], [])), strict=True))
    return values[long] / values[short] if short in values and long in values else None


def crossover(results: Results, *, allocator: str = "default") -> float | None:
    """Return the length from which LED's encoder is faster than full fused attention, at all measured lengths beyond.

    Between two measured lengths the ratio of both times is taken as a power of the length.

    Returns:
        Tokens; the shortest measured length if it is faster everywhere, ``None`` if at the longest it is not.

    Example:
        >>> rows = [{"length": n, "allocator": "default", "times_faster_than_full": n / 2048} for n in (1024, 4096)]
        >>> round(crossover(Results({"encoder_time": rows})))
        2048
    """
    rows = results.rows("encoder_time", allocator=allocator)
    points = sorted((r["length"], r["times_faster_than_full"]) for r in rows if r.get("times_faster_than_full"))
    if not points or points[-1][1] <= 1:
        return None
    at = points[0][0]
    for (short, slower), (long, faster) in itertools.pairwise(points):
        if slower <= 1 < faster:
            at = short * (long / short) ** (-math.log(slower) / (math.log(faster) - math.log(slower)))
    return float(at)


def crossovers(results: Results) -> list[int]:
    """Return the crossover under every allocator, to two digits and in order.

    Example:
        >>> crossovers(load_results())
        [1600, 2000]
    """
    allocators = dict.fromkeys(row["allocator"] for row in results.rows("encoder_time"))
    found = (crossover(results, allocator=allocator) for allocator in allocators)
    return sorted({int(float(f"{at:.2g}")) for at in found if at is not None})


def crossover_words(results: Results) -> str:
    """Say from which length on LED's encoder is faster than full attention: the one sentence for every page.

    Example:
        >>> crossover_words(load_results())
        "LED's encoder is faster than full fused attention from about 1,600 to 2,000 tokens up, by allocator"
    """
    found = crossovers(results)
    if not found:
        return "Full fused attention is as fast as LED's encoder at the lengths that were measured"
    where = f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
    by = ", by allocator" if len(found) > 1 else ""
    return f"LED's encoder is faster than full fused attention from about {where} tokens up{by}"


def draw_crossover(results: Results, *, allocator: str = "default", ax: Axes | None = None) -> Axes:
    """Draw LED's encoder beside full fused attention and transformers, and mark where ours becomes the faster one.

    The lines are those of one allocator; the mark reaches from one allocator's crossover to the other's.
    """
    columns = {"full attention": ("full_seconds", 0), "longsum_lib": ("seconds", 1)}
    columns["transformers"] = ("transformers_seconds", 2)
    rows = [row for row in results.rows("encoder_time", allocator=allocator) if row.get("full_seconds")]
    lengths = [row["length"] for row in rows]
    lines = {name: (lengths, [row.get(column) for row in rows]) for name, (column, _) in columns.items()}
    ax = draw_cost(lines, ylabel="time (s)", ax=ax, styles={name: style for name, (_, style) in columns.items()})
    found = [at for at in crossovers(results) if at > min(lengths)]
    if found:
        ax.axvspan(found[0], found[-1], color=MUTED, alpha=0.25, linewidth=1)
        ax.annotate(
            " to ".join(f"{at:,}" for at in dict.fromkeys((found[0], found[-1]))) + " tokens",
            (found[-1], ax.get_ylim()[0]),
            xytext=(4, 6),
            textcoords="offset points",
            color=INK,
            fontsize=8,
        )
    return ax
