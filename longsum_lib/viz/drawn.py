"""What a figure draws, as numbers and words: what the book's tests compare, as pictures cannot be compared.

With ``LONGSUM_FIGURES`` set to a folder, ``viz.show`` holds each figure against ``NAME.json`` there and
raises where a line, a bar, a cell, a colour or a label differs; with ``LONGSUM_FIGURES_WRITE=1`` it writes the file.
``make check-notebooks`` and ``make figures`` set them; without them nothing happens.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER, WRITE = "LONGSUM_FIGURES", "LONGSUM_FIGURES_WRITE"
# Processors differ in the last digits of fp32; a hundredth of a percent is less than any figure shows.
RELATIVE, OF_THE_LARGEST = 1e-4, 1e-6
SHORT = 64  # numbers that are written out; longer lists with few different values are written as runs
DIFFERENT = 32


def prove(figure: Figure, name: str | None, within: float = 0.0) -> None:
    """Hold a drawn figure against its record, or write the record, if the environment asks for it.

    Args:
        figure: The figure, after it was drawn (tick labels exist only then).
        name: The figure's name, which is that of its file.
        within: How far a number may lie from its record besides.

    Raises:
        ValueError: If the figure has no name or no record, or draws something else than its record says.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    if not name:
        raise ValueError("a figure of the book needs a name, as fig-NN-slug: its record is kept under it")
    file, now = Path(folder) / f"{name}.json", description(figure)
    if os.environ.get(WRITE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(now, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        return
    if not file.exists():
        raise ValueError(f"{name} has no record in {file.parent.name}: look at the picture, then run make figures")
    change = difference(json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(now)), within=within)
    if change:
        raise ValueError(f"{name} draws something else: {change}. If that is meant, run make figures")


def description(figure: Figure) -> dict[str, Any]:
    """Return what a figure draws, as nested dictionaries and lists of numbers and words.

    Args:
        figure: A figure that has been drawn.

    Returns:
        The figure's texts and, for each axes, its words, ticks, lines, bars, cells, points and images.
    """
    words = [words_of(text) for text in figure.texts if text.get_text()]
    legends = [word for legend in figure.legends for word in legend_of(legend)]
    return {"texts": words, "legend": legends, "axes": [axes_of(ax) for ax in figure.axes]}


def axes_of(ax: Axes) -> dict[str, Any]:
    """Return what one axes draws."""
    legend = ax.get_legend()
    return {
        "title": [ax.get_title(loc=place) for place in ("left", "center", "right")],
        "labels": [ax.get_xlabel(), ax.get_ylabel()],
        "scales": [ax.get_xscale(), ax.get_yscale()],
        "limits": numbers([*ax.get_xlim(), *ax.get_ylim()]),
        "ticks": [[label.get_text() for label in labels] for labels in (ax.get_xticklabels(), ax.get_yticklabels())],
        "lines": [line_of(line) for line in ax.lines],
        "patches": [patch_of(patch) for patch in ax.patches],
        "collections": [collection_of(collection) for collection in ax.collections],
        "images": [image_of(image) for image in ax.images],
        "texts": [words_of(text) for text in ax.texts],
        "legend": [] if legend is None else legend_of(legend),
    }


def line_of(line: Any) -> dict[str, Any]:
    """Return a line's points and look."""
    look = [str(line.get_linestyle()), str(line.get_marker())]
    return {"x": numbers(line.get_xdata()), "y": numbers(line.get_ydata()), "look": look, "colour": colours(line)}


def patch_of(patch: Any) -> dict[str, Any]:
    """Return the corners of a bar, a cell or an arrow, and its colours."""
    corners = patch.get_patch_transform().transform(patch.get_path().vertices)
    return {"corners": numbers(corners), "colour": colours(patch), "hatch": patch.get_hatch() or ""}


def collection_of(collection: Any) -> dict[str, Any]:
    """Return the places, outlines and values of many equal artists."""
    values = collection.get_array()
    return {
        "places": numbers(collection.get_offsets()),
        "outlines": [numbers(path.vertices) for path in collection.get_paths()],
        "values": [] if values is None else numbers(values),
        "colour": numbers(collection.get_facecolor()) + numbers(collection.get_edgecolor()),
    }


def image_of(image: Any) -> dict[str, Any]:
    """Return the cells of an image, where they lie and how values become colours."""
    cells: np.ndarray = np.asarray(np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan))
    return {
        "shape": list(cells.shape),
        "cells": numbers(cells),
        "extent": numbers(image.get_extent()),
        "range": numbers([limit for limit in image.get_clim() if limit is not None]),
        "colours": image.get_cmap().name,
    }


def words_of(text: Any) -> list[Any]:
    """Return a text and its place."""
    return [text.get_text(), numbers(text.get_position())]


def legend_of(legend: Any) -> list[str]:
    """Return a legend's words."""
    return [text.get_text() for text in legend.get_texts()]


def colours(artist: Artist | Any) -> list[Any]:
    """Return an artist's colours as hexadecimal words."""
    from matplotlib.colors import to_hex

    getters = ("get_color", "get_facecolor", "get_edgecolor")
    return [to_hex(getattr(artist, name)(), keep_alpha=True) for name in getters if hasattr(artist, name)]


def numbers(values: Any) -> list[Any]:
    """Return numbers with six digits; long lists with few different values as ``["runs", value, count, ...]``."""
    flat = np.asarray(np.ma.filled(np.ma.asarray(values), np.nan) if np.ma.isMaskedArray(values) else values)
    if flat.dtype.kind not in "biuf":
        return [str(value) for value in flat.ravel()]
    flat = flat.astype(float).ravel()
    if flat.size > SHORT and len(np.unique(flat)) <= DIFFERENT:
        edges = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
        counts = np.diff(np.append(edges, flat.size))
        pairs = [[digits(flat[edge]), int(count)] for edge, count in zip(edges, counts, strict=True)]
        return ["runs", *(part for pair in pairs for part in pair)]
    return [digits(value) for value in flat]


def digits(value: float) -> float | str:
    """Return a number with six digits, a word if it is none that JSON has."""
    return float(f"{value:.6g}") if np.isfinite(value) else str(value)


def difference(old: Any, new: Any, where: str = "", within: float = 0.0) -> str:
    """Return in words where two descriptions differ first, an empty string if they are equal."""
    place = where or "the figure"
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys():
            return f"{place} has {sorted(new)} where {sorted(old)} are recorded"
        changes = (difference(old[key], new[key], f"{where} {key}".strip(), within) for key in old)
        return next(filter(None, changes), "")
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return f"{place} has {len(new)} parts where {len(old)} are recorded"
        return in_list(old, new, where, within)
    return "" if old == new else f"{place} is {new!r} where {old!r} is recorded"


def in_list(old: list[Any], new: list[Any], where: str, within: float = 0.0) -> str:
    """Return where two lists of one length differ first; numbers may differ in their last digits."""
    largest = max((abs(value) for value in old if is_number(value)), default=0.0)
    for at, (was, now) in enumerate(zip(old, new, strict=True)):
        if is_number(was) and is_number(now):
            if abs(was - now) > RELATIVE * abs(was) + OF_THE_LARGEST * largest + within:
                return f"{where} {at} is {now:g} where {was:g} is recorded"
        elif change := difference(was, now, f"{where} {at}", within):
            return change
    return ""


def is_number(value: Any) -> bool:
    """Whether a value of a description is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
