"""Key facts: which of them a summary of the synthetic corpus gets right, and where in the document they stood.

A fact counts as right when its slot's sentence stands in the summary with exactly its value:
``"The cost was 7606 crowns."`` for the slot ``cost``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from longsum_lib.corpus.records import KINDS, Document
from longsum_lib.corpus.world import world
from longsum_lib.evaluation.bootstrap import interval_of_ratio

TENTHS = 10


@lru_cache(maxsize=1)
def _slot_patterns() -> dict[str, re.Pattern[str]]:
    """A pattern for the summary sentence of each slot, which finds its value."""
    patterns = {}
    for slot in world()["slots"]:
        before, after = slot["summary"].split("{v}")
        patterns[slot["name"]] = re.compile(re.escape(before) + r"([^.]+?)" + re.escape(after))
    return patterns


def read_facts(summary: str) -> dict[str, str]:
    """Read the value of every slot that a summary mentions.

    Args:
        summary: A summary in the wording of the corpus.

    Returns:
        Slot name -> value. A slot that the summary does not mention is absent.

    Example:
        >>> read_facts("This is the report of the Kelsan survey. It was led by Dr Morvik.")
        {'leader': 'Morvik'}
    """
    found = ((name, pattern.search(summary)) for name, pattern in _slot_patterns().items())
    return {name: match.group(1) for name, match in found if match}


@dataclass
class Counts:
    """How many of how many."""

    right: int = 0
    total: int = 0

    def add(self, is_right: bool) -> None:
        """Count one more."""
        self.right += is_right
        self.total += 1

    @property
    def share(self) -> float | None:
        """Right over total, or ``None`` where there was nothing to count."""
        return self.right / self.total if self.total else None

    def to_dict(self) -> dict[str, Any]:
        """Right, total and share, for JSON."""
        return {
            "right": self.right,
            "total": self.total,
            "share": None if self.share is None else round(self.share, 4),
        }


@dataclass
class FactScores:
    """Key-fact scores over some documents.

    Attributes:
        recall: Key facts that the summaries got right, of all key facts.
        precision: The same facts, of all slots that the summaries filled.
        by_kind: Recall for ``plain``, ``superseded`` and ``alias`` facts.
        by_tenth: Recall by the place of the evidence in the document, first to last tenth.
        stale: Superseded facts for which the summary gave the earlier value.
        distracted: Filled slots whose value is that of a distractor of the document.
        names: Summaries that name the right survey in their first sentence.
        values: Key facts whose value stands anywhere in the summary, in whatever words: a looser count, and the one
            that extracts (lead, oracle) can be measured with.
        pairs: For recall and precision, (right, total) of each document, for the intervals.
    """

    recall: Counts = field(default_factory=Counts)
    precision: Counts = field(default_factory=Counts)
    by_kind: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_tenth: list[Counts] = field(default_factory=lambda: [Counts() for _ in range(TENTHS)])
    stale: Counts = field(default_factory=Counts)
    distracted: Counts = field(default_factory=Counts)
    names: Counts = field(default_factory=Counts)
    values: Counts = field(default_factory=Counts)
    pairs: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"recall": [], "precision": []})

    def add(self, document: Document, summary: str) -> None:
        """Score one summary."""
        found = read_facts(summary)
        wanted = {fact.slot: fact.value for fact in document.facts}
        right = sum(found.get(slot) == value for slot, value in wanted.items())
        self.pairs["recall"].append((right, len(wanted)))
        self.pairs["precision"].append((right, len(found)))
        for fact in document.facts:
            is_right = found.get(fact.slot) == fact.value
            self.recall.add(is_right)
            self.by_kind[fact.kind].add(is_right)
            self.by_tenth[min(int(fact.position * TENTHS), TENTHS - 1)].add(is_right)
            self.values.add(re.search(rf"(?<!\w){re.escape(fact.value)}(?!\w)", summary) is not None)
            if fact.superseded_value is not None:
                self.stale.add(found.get(fact.slot) == fact.superseded_value)
        decoys = {(distractor.slot, distractor.value) for distractor in document.distractors}
        for slot, value in found.items():
            self.precision.add(wanted.get(slot) == value)
            self.distracted.add((slot, value) in decoys)
        self.names.add(f"the {document.name} survey" in summary)

    def to_dict(self) -> dict[str, Any]:
        """All scores as plain numbers, for JSON."""
        return {
            "recall": self.recall.to_dict(),
            "precision": self.precision.to_dict(),
            "by_kind": {kind: self.by_kind[kind].to_dict() for kind in KINDS},
            "by_tenth": [counts.to_dict() for counts in self.by_tenth],
            "stale": self.stale.to_dict(),
            "distracted": self.distracted.to_dict(),
            "names": self.names.to_dict(),
            "values": self.values.to_dict(),
        }

    def intervals(self) -> dict[str, list[float] | None]:
        """95 % bootstrap intervals of recall and precision, over documents."""
        return {name: interval_of_ratio(pairs) for name, pairs in self.pairs.items()}


def score_facts(documents: Iterable[Document], summaries: Iterable[str]) -> FactScores:
    """Key-fact scores of summaries, one for each document.

    Example:
        >>> from longsum_lib.corpus import make_document
        >>> document = make_document(0, 512, "test")
        >>> score_facts([document], [document.summary]).recall.share
        1.0
    """
    scores = FactScores()
    for document, summary in zip(documents, summaries, strict=True):
        scores.add(document, summary)
    return scores
