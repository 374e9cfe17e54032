"""Bootstrap intervals: how far a score would move if other documents of the same kind had been drawn.

The documents are drawn again with replacement, the score is computed for each draw, and the interval holds the
middle 95 % of the draws. It says nothing about documents of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence

DRAWS = 2000
_TAILS = (2.5, 97.5)
_DECIMALS = 4


def interval_of_mean(values: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> list[float] | None:
    """95 % bootstrap interval of a mean over documents.

    Args:
        values: One score for each document.
        draws: How often the documents are drawn again.
        seed: Of the draws; the same values give the same interval.

    Returns:
        Lower and upper end, or None for fewer than two documents.

    Cost:
        O(draws · documents) time and memory.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, the percentile interval.

    Example:
        >>> interval_of_mean([0.4, 0.5, 0.6, 0.5])
        [0.425, 0.575]
    """
    return interval_of_ratio([(value, 1) for value in values], draws=draws, seed=seed)


def interval_of_ratio(pairs: Sequence[tuple[float, float]], *, draws: int = DRAWS, seed: int = 0) -> list[float] | None:
    """95 % bootstrap interval of a sum over a sum, such as right facts over all facts.

    Args:
        pairs: (numerator, denominator) of each document.
        draws: How often the documents are drawn again.
        seed: Of the draws.

    Returns:
        Lower and upper end, or None where there is nothing to draw from.
    """
    if len(pairs) < 2 or not any(total for _, total in pairs):
        return None
    import numpy as np

    numerators, denominators = np.asarray(pairs, dtype=np.float64).T
    chosen = np.random.default_rng(seed).integers(len(pairs), size=(draws, len(pairs)))
    tops, bottoms = numerators[chosen].sum(1), denominators[chosen].sum(1)
    ratios = tops[bottoms > 0] / bottoms[bottoms > 0]
    return [round(float(end), _DECIMALS) for end in np.percentile(ratios, _TAILS)]
