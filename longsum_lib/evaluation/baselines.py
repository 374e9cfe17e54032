"""Summaries without a model, to hold a model's scores against: the first sentences, central ones, and the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from longsum_lib.evaluation.text import ngrams, split_sentences, words

LEAD_SENTENCES = 10
_SIZES = (1, 2)


def lead(document: str, sentences: int = LEAD_SENTENCES) -> str:
    r"""The first sentences of a document (lead-k).

    Args:
        document: The text.
        sentences: How many, k.

    Example:
        >>> lead("One is here. Two is there. Three.", 2)
        'One is here.\nTwo is there.'
    """
    return "\n".join(split_sentences(document)[:sentences])


def extracted(document: str, sentences: int = LEAD_SENTENCES) -> str:
    """The sentences that :func:`~longsum_lib.generation.extract.extracting.extract` chooses, the reference unseen.

    Args:
        document: The text.
        sentences: How many.

    Example:
        >>> extracted("Rain fell on the hut. It was late. Rain fell on the roof of the hut all night.", 1)
        'Rain fell on the hut.'
    """
    from longsum_lib.generation.extract import extract

    return extract(document, sentences=sentences).text if words(document) else ""


def extractive_oracle(document: str, reference: str, *, sentences: int | None = None) -> str:
    """The sentences of a document that together come closest to the reference, chosen greedily.

    Sentences are added one at a time, each time the one that raises the mean of the F1 of single words and of pairs
    the most, until none raises it. It looks at the reference, so it is no method of summarizing: it says about what
    ROUGE can be reached by copying whole sentences.

    Args:
        document: The text.
        reference: Its reference summary.
        sentences: The most sentences; None for any number.

    Returns:
        The sentences in the document's order, one a line.

    Cost:
        O(sentences of the document · sentences chosen · words of a sentence).

    Source:
        The greedy choice of Nallapati, Zhai and Zhou, "SummaRuNNer" (2017); words are not stemmed.

    Example:
        >>> extractive_oracle("Rain fell. The cost was 7 crowns. It was late.", "It cost 7 crowns.")
        'The cost was 7 crowns.'
    """
    candidates = split_sentences(document)
    tokens = [words(sentence) for sentence in candidates]
    overlaps = [_Overlap(words(reference), tokens, size) for size in (1, 2)]
    left = [i for i in range(len(tokens)) if overlaps[0].sentences[i]]
    chosen: list[int] = []
    best = 0.0
    while left and (sentences is None or len(chosen) < sentences):
        scores = [sum(overlap.f1_with(i) for overlap in overlaps) for i in left]
        if max(scores) <= best:
            break
        best = max(scores)
        chosen.append(left.pop(scores.index(best)))
        for overlap in overlaps:
            overlap.add(chosen[-1])
    return "\n".join(candidates[i] for i in sorted(chosen))


class _Overlap:
    """N-grams of one size that the chosen sentences share with the reference."""

    def __init__(self, reference: Sequence[str], tokens: Sequence[Sequence[str]], size: int) -> None:
        self.wanted = Counter(ngrams(reference, size))
        # Only n-grams of the reference can overlap; the others count by their number alone.
        self.sentences = [Counter(gram for gram in ngrams(row, size) if gram in self.wanted) for row in tokens]
        self.lengths = [max(len(row) - size + 1, 0) for row in tokens]
        self.have: Counter[tuple[str, ...]] = Counter()
        self.shared = 0
        self.total = sum(self.wanted.values())

    def gain(self, i: int) -> int:
        """How many more n-grams are shared if sentence ``i`` is added."""
        have, wanted = self.have, self.wanted
        return sum(
            min(have[gram] + count, wanted[gram]) - min(have[gram], wanted[gram])
            for gram, count in self.sentences[i].items()
        )

    def f1_with(self, i: int) -> float:
        total = self.total + self.lengths[i]
        return 2 * (self.shared + self.gain(i)) / total if total else 0.0

    def add(self, i: int) -> None:
        self.shared += self.gain(i)
        self.have += self.sentences[i]
        self.total += self.lengths[i]
