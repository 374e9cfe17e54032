"""The mechanisms that the explorers know, and their sizes: what ``assets/mechanisms.json`` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from longsum_lib.attention.lsg.sparse import check_geometry
from longsum_lib.errors import OptionError, UnknownOption, did_you_mean
from longsum_lib.viz.explorers import assets

#: Name -> label, models that use it, sizes (default, smallest and largest of their sliders) and sizes worth a try.
MECHANISMS: dict[str, dict[str, Any]] = assets.load("mechanisms")

#: Names of all sizes of all mechanisms.
ALL_SIZES = frozenset().union(*(mechanism["sizes"] for mechanism in MECHANISMS.values()))


def default_sizes(mechanism: str) -> dict[str, Any]:
    """Return the sizes that an explorer starts with.

    Example:
        >>> default_sizes("sliding_window")
        {'window': 4, 'num_globals': 1}
    """
    return {name: values[0] for name, values in _known(mechanism)["sizes"].items()}


def check_sizes(mechanism: str, sizes: Mapping[str, Any], *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return the sizes if the mechanism has them all.

    Args:
        mechanism: name of the mechanism.
        sizes: the sizes that were given.
        without: sizes that this explorer does not take.

    Raises:
        OptionError: if it does not, or if LSG's sizes do not fit together.
    """
    has = [name for name in _known(mechanism)["sizes"] if name not in without]
    for name in sizes:
        if name not in has:
            listed = ", ".join(has) or "none"
            raise UnknownOption(f"{mechanism!r} has no size {name!r}{did_you_mean(name, has)}; it has: {listed}")
    if mechanism == "lsg":
        lsg = {**default_sizes("lsg"), **sizes}
        kind = lsg["sparsity_type"]
        check_geometry(kind, lsg["block_size"], lsg["sparse_block_size"], lsg["sparsity_factor"], strict=False)
    return dict(sizes)


def pick(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what describes the matrix in an explorer's state: mechanism, length and sizes."""
    return {name: state[name] for name in ("mechanism", "length", *MECHANISMS[state["mechanism"]]["sizes"])}


def _known(mechanism: str) -> dict[str, Any]:
    if mechanism not in MECHANISMS:
        guess = did_you_mean(str(mechanism), MECHANISMS)
        raise OptionError(f"no mechanism {mechanism!r}{guess}; there are: {', '.join(MECHANISMS)}")
    return MECHANISMS[mechanism]
