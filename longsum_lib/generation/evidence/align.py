"""Which sentences of a document a sentence of a summary rests on, by the words that they share."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from fractions import Fraction

from longsum_lib.generation.evidence.quantities import find_quantities
from longsum_lib.generation.evidence.terms import find_terms
from longsum_lib.generation.sentences import sentence_spans

NAME_WEIGHT = 4.0
"""A name or a number counts as much as four words of its rarity. Chosen on the synthetic corpus, as the next two."""
END_WEIGHT = 3.0
"""The last word of a claim, which in English and many other languages says what is new, counts so many times."""
PAIR_WEIGHT = 0.5
"""Two words that stand side by side in both count so much of their mean once more."""
_SPACES = re.compile(r"\s+")


def telling_keys(claim: str) -> set[str]:
    """Keys of a claim's names and numbers.

    Example:
        >>> sorted(telling_keys("The Kelsan survey cost 4,810 crowns."))
        ['#4810', 'kelsan']
    """
    numbers = {key for key in _keys(claim, 0, len(claim)) if key[0] == "#"}
    return numbers | {term.key for term in find_terms(claim) if term.name and not term.key.isdigit()}


class SentenceIndex:
    """The sentences of a document, ready to be searched.

    Args:
        text: The document.

    Attributes:
        spans: ``(start, end)`` of every sentence, in characters.

    Cost:
        O(characters) to make; to score a claim, the sentences that share a word with it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = list(sentence_spans(text))
        self.keys = [_keys(text, *span) for span in self.spans]
        self.places: dict[str, list[int]] = defaultdict(list)
        for number, keys in enumerate(self.keys):
            for key in dict.fromkeys(keys):
                self.places[key].append(number)
        self._plain: dict[str, list[int]] = defaultdict(list)
        for number, (start, end) in enumerate(self.spans):
            self._plain[_plain(text[start:end])].append(number)

    def rarity(self, key: str) -> float:
        """Inverse document frequency over the sentences; a word that none has is as rare as one that one has."""
        return math.log1p(len(self.spans) / max(1, len(self.places.get(key, ()))))

    def copies(self, claim: str) -> list[int]:
        """Sentences that are the claim word for word."""
        return self._plain.get(_plain(claim), [])

    def weights(self, claim: str) -> dict[str, float]:
        """The claim's words and how much each counts."""
        telling = telling_keys(claim)
        keys = _keys(claim, 0, len(claim))
        weights = {key: self.rarity(key) * (NAME_WEIGHT if key in telling else 1.0) for key in keys}
        if keys and keys[-1] not in telling:
            weights[keys[-1]] *= END_WEIGHT
        return weights

    def scores(self, claim: str) -> dict[int, float]:
        """Share of the claim's weight that each sentence has, and a bonus for words in the same order.

        Args:
            claim: A sentence.

        Returns:
            Number of a sentence -> score, 0 to about 1.5; sentences without a word of the claim are absent.
        """
        weights = self.weights(claim)
        whole = sum(weights.values())
        if not whole:
            return {}
        scores: defaultdict[int, float] = defaultdict(float)
        for key, weight in weights.items():
            for number in self.places.get(key, ()):
                scores[number] += weight / whole
        claimed = _keys(claim, 0, len(claim))
        pairs = {pair: (weights[pair[0]] + weights[pair[1]]) / 2 for pair in itertools.pairwise(claimed)}
        for number in scores:
            own = set(itertools.pairwise(self.keys[number]))
            scores[number] += PAIR_WEIGHT * sum(w for pair, w in pairs.items() if pair in own) / whole
        return dict(scores)


def _keys(text: str, start: int, end: int) -> list[str]:
    """Keys of a sentence; numbers by value, marked with #."""
    quantities = find_quantities(text[start:end])
    numbers = {(start + q.start): f"#{_number(max(q.values))}" for q in quantities}
    spans = [(start + q.start, start + q.end) for q in quantities]
    keys = []
    for term in find_terms(text, start, end):
        if term.start in numbers:
            keys.append(numbers[term.start])
        elif not any(a <= term.start < b for a, b in spans):
            keys.append(term.key)
    return keys


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip().casefold()
