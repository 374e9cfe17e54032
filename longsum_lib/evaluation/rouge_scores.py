"""ROUGE by the ``rouge-score`` package, the one that the papers' figures were made with.

Words are stemmed. ``rougeL`` is the longest common subsequence of two whole texts, ``rougeLsum`` the union over
sentences: two measures that differ by many points on long summaries. Papers on PEGASUS, BigBird and LongT5 print
``rougeLsum``, others ``rougeL``, and some call both "R-L"; here they always keep their own names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from longsum_lib.errors import MissingExtra
from longsum_lib.evaluation.text import mean, split_sentences

ROUGE_NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@lru_cache(maxsize=1)
def _scorer() -> Any:
    try:
        from rouge_score import rouge_scorer
    except ImportError:
        raise MissingExtra("rouge-score", "evaluation", "ROUGE") from None
    return rouge_scorer.RougeScorer(ROUGE_NAMES, use_stemmer=True)


def rouge_of_pair(reference: str, summary: str) -> dict[str, float]:
    """ROUGE F1 of one summary, 0 to 1.

    Args:
        reference: What a person wrote.
        summary: What is to be scored.

    Returns:
        ``rouge1``, ``rouge2``, ``rougeL``, ``rougeLsum``. For the last, both texts get one sentence a line.

    Raises:
        MissingExtra: ``rouge-score`` is not installed.

    Cost:
        O(words of the one · words of the other).

    Source:
        Lin, "ROUGE" (2004); sections 2 (N), 3.1 (L) and 3.2 (Lsum, there "summary-level LCS").
    """
    scores = _scorer().score(*("\n".join(split_sentences(text)) for text in (reference, summary)))
    return {name: scores[name].fmeasure for name in ROUGE_NAMES}


def rouge(references: Sequence[str], summaries: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE F1 in percent.

    Raises:
        MissingExtra: ``rouge-score`` is not installed.
        ValueError: The two sequences are not equally long.
    """
    scores = [rouge_of_pair(*pair) for pair in zip(references, summaries, strict=True)]
    return {name: round(100 * (mean(score[name] for score in scores) or 0.0), 2) for name in ROUGE_NAMES}
