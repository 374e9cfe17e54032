"""Draw the figures of the book's pages again: `python tools/make_figures.py`.

Figures of the chapters are made by their notebooks. What is made here stands in pages that run no code, and in the
README. The files are committed; `tests/test_viz.py` checks that they are up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from longsum_lib import viz  # noqa: E402  (the path comes first)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ROOT / "book" / "figures"
LENGTH = 48


def patterns() -> Figure:
    """Six attention patterns side by side."""
    return viz.draw_masks(
        {
            "Full attention\n(BART, T5)": viz.full_kinds(LENGTH),
            "Sliding window + global\n(LED)": viz.sliding_window_kinds(LENGTH, window=3, global_positions=[0]),
            "Staggered blocks + global\n(PEGASUS-X, odd layer)": viz.block_local_kinds(
                LENGTH - 2, 8, shifted=True, num_globals=2
            ),
            "Local + transient global\n(LongT5)": viz.transient_global_kinds(LENGTH, radius=3, global_block_size=8),
            "Local-sparse-global\n(LSG, strided)": viz.lsg_kinds(
                LENGTH, 4, sparse_block_size=4, sparsity_factor=2, num_globals=1
            ),
            "BigBird\n(drawn at random)": viz.big_bird_kinds(LENGTH, 3, num_random_blocks=2, seed=4),
        }
    )


FILES = {"patterns.png": patterns}


def main() -> None:
    """Write every figure."""
    for name, draw in FILES.items():
        path = viz.save(draw(), FIGURES / name)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
