"""Which sentences of a document are central: a walk on the graph of their similarities, never written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

DAMPING = 0.85
ROUNDS = 30


class Similarities:
    r"""The sentences as rows of unit length, :math:`X`; the similarity of two is the product of their rows.

    A term weighs :math:`(1 + \log f) \cdot \log\frac{N - n + 0.5}{n + 0.5}` for its frequency :math:`f` in the sentence
    and the :math:`n` of :math:`N` sentences that have it, at least 0: what stands in half of all sentences is no word
    to tell them apart by, in any language.

    Args:
        sentences: The terms of each sentence.

    Cost:
        Memory O(words). A product with :math:`X X^\top` takes O(words) too: the matrix of all pairs is not needed.

    Source:
        Salton and Buckley, "Term-weighting approaches in automatic text retrieval" (1988); the weight of a term is
        that of BM25 (Robertson and Spärck Jones, 1976).
    """

    def __init__(self, sentences: Sequence[Sequence[str]]) -> None:
        numbers: dict[str, int] = {}
        rows, columns, counts = [], [], []
        for row, sentence in enumerate(sentences):
            for term, count in Counter(sentence).items():
                rows.append(row)
                columns.append(numbers.setdefault(term, len(numbers)))
                counts.append(count)
        self.number, self.vocabulary = len(sentences), numbers
        self.rows = np.array(rows, dtype=np.int32)
        self.columns = np.array(columns, dtype=np.int32)
        having = np.bincount(self.columns, minlength=len(numbers))
        self.weights = np.maximum(0.0, np.log((self.number - having + 0.5) / (having + 0.5) + 1e-12))
        if self.number < 5:
            self.weights = np.ones(len(numbers))  # too few sentences to tell frequent words by
        values = (1 + np.log(np.array(counts, dtype=np.float64))) * self.weights[self.columns]
        lengths = np.sqrt(np.bincount(self.rows, weights=values**2, minlength=self.number))
        self.values = (values / np.maximum(lengths, 1e-12)[self.rows]).astype(np.float32)
        self.starts = np.searchsorted(self.rows, np.arange(self.number + 1))

    def times(self, terms: np.ndarray) -> np.ndarray:
        """Return :math:`X t` of shape (sentences,) for weights ``t`` of the terms."""
        return np.bincount(self.rows, weights=self.values * terms[self.columns], minlength=self.number)

    def gathered(self, sentences: np.ndarray) -> np.ndarray:
        r"""Return :math:`X^\top s` of shape (terms,) for weights ``s`` of the sentences."""
        return np.bincount(self.columns, weights=self.values * sentences[self.rows], minlength=len(self.vocabulary))

    def with_terms(self, wanted: Sequence[str]) -> np.ndarray:
        """Return how much of some words, weighed, each sentence has: cosines of shape (sentences,)."""
        query = np.zeros(len(self.vocabulary))
        for term in wanted:
            if term in self.vocabulary:
                query[self.vocabulary[term]] = self.weights[self.vocabulary[term]]
        length = np.linalg.norm(query)
        return self.times(query / length) if length else np.zeros(self.number)

    def part(self, sentences: np.ndarray) -> Part:
        """Take some of the sentences, in the order given, to compare them one by one."""
        sizes = self.starts[sentences + 1] - self.starts[sentences]
        rows = np.repeat(np.arange(len(sentences)), sizes)
        firsts = np.repeat(self.starts[sentences] - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
        places = firsts + np.arange(len(rows))
        columns, numbers = np.unique(self.columns[places], return_inverse=True)
        return Part(rows, numbers, self.values[places], len(sentences), len(columns))


class Part:
    """Some sentences, and the similarities of one of them with all the others."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, number: int, terms: int) -> None:
        self.rows, self.columns, self.values, self.number = rows, columns, values, number
        self.dense = np.zeros(terms)
        self.starts = np.searchsorted(rows, np.arange(number + 1))

    def with_sentence(self, sentence: int) -> np.ndarray:
        """Return the cosines of one sentence with each, of shape (sentences,)."""
        own = slice(self.starts[sentence], self.starts[sentence + 1])
        self.dense[self.columns[own]] = self.values[own]
        found = np.bincount(self.rows, weights=self.values * self.dense[self.columns], minlength=self.number)
        self.dense[self.columns[own]] = 0
        return found


def centrality(similarities: Similarities, prior: np.ndarray) -> np.ndarray:
    r"""How often a reader is at each sentence who goes on to similar ones, and at times anywhere by the prior.

    .. math:: p = d \, X X^\top D^{-1} p + (1 - d) \, q

    with the similarities' sums in :math:`D` and the prior :math:`q`. A sentence's similarity with itself is left out.

    Args:
        similarities: Of all sentences.
        prior: How much each sentence is worth by itself, of shape (sentences,), not negative, not all 0.

    Returns:
        Probabilities of shape (sentences,).

    Cost:
        O(words · rounds).

    Source:
        Erkan and Radev, "LexRank" (2004), continuous; the prior as in the topic-sensitive walk of Haveliwala (2002).
    """
    prior = prior / prior.sum()
    rank: np.ndarray = prior
    own = np.bincount(similarities.rows, weights=similarities.values**2, minlength=similarities.number)

    def product(weights: np.ndarray) -> np.ndarray:
        products: np.ndarray = np.maximum(similarities.times(similarities.gathered(weights)) - own * weights, 0)
        return products

    degrees = product(np.ones(similarities.number))
    lonely = degrees < 1e-9
    inverse = np.where(lonely, 0, 1 / np.maximum(degrees, 1e-9))
    for _ in range(ROUNDS):
        stranded = rank[lonely].sum()  # a sentence without neighbours sends its reader anywhere
        following: np.ndarray = DAMPING * (product(rank * inverse) + stranded * prior) + (1 - DAMPING) * prior
        if np.abs(following - rank).sum() < 1e-6:
            return following
        rank = following
    return rank
