"""How good summaries are: ``longsum evaluate``.

On the synthetic corpus the main measure is the share of key facts that a summary gets right. On any data set there are
ROUGE, bootstrap intervals, how much is copied from where, and what can be had without a model: the first sentences,
and the sentences closest to the reference.
"""

from longsum_lib.datasets import Example, Source
from longsum_lib.evaluation.baselines import extracted, extractive_oracle, lead
from longsum_lib.evaluation.bootstrap import interval_of_mean, interval_of_ratio
from longsum_lib.evaluation.evaluate import FIRST_SEED, Generated, evaluate, generate_summaries
from longsum_lib.evaluation.facts import TENTHS, Counts, FactScores, read_facts, score_facts
from longsum_lib.evaluation.report import format_table
from longsum_lib.evaluation.rouge_scores import ROUGE_NAMES, rouge, rouge_of_pair
from longsum_lib.evaluation.scores import TextScores, score_all
from longsum_lib.evaluation.store import SummaryStore
from longsum_lib.evaluation.text import (
    Texts,
    describe,
    fragments,
    ngrams,
    novel_share,
    numbers,
    pairs_by_place,
    repetition,
    split_sentences,
    words,
)

__all__ = [
    "FIRST_SEED",
    "ROUGE_NAMES",
    "TENTHS",
    "Counts",
    "Example",
    "FactScores",
    "Generated",
    "Source",
    "SummaryStore",
    "TextScores",
    "Texts",
    "describe",
    "evaluate",
    "extracted",
    "extractive_oracle",
    "format_table",
    "fragments",
    "generate_summaries",
    "interval_of_mean",
    "interval_of_ratio",
    "lead",
    "ngrams",
    "novel_share",
    "numbers",
    "pairs_by_place",
    "read_facts",
    "repetition",
    "rouge",
    "rouge_of_pair",
    "score_all",
    "score_facts",
    "split_sentences",
    "words",
]
