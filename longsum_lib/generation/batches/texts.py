"""A text while it is written: which token each of its rows takes next, and when it is done.

What is chosen is what transformers' ``generate`` chooses for a document alone: its logits processors run on each text's
own ids, its beams are compared by the same scores, and it ends by the same rules.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor

Processors = Callable[[torch.LongTensor, torch.FloatTensor], Tensor]
"""transformers' ``LogitsProcessorList``: ids ``(rows, length)`` and scores ``(rows, vocabulary)`` -> scores."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """How a text is written.

    Args:
        start: The decoder's first token.
        ends: Tokens that end a text.
        max_length: The most tokens, the start token included.
        beams: Beams of beam search; 1 is greedy.
        length_penalty: Exponent of the length by which a beam's score is divided.
        early_stopping: ``True`` ends when there are as many texts as beams, ``False`` and ``"never"`` when no beam
            can be better than these; see transformers' ``GenerationConfig``.
        processors: What changes the scores before a choice; None changes nothing.
    """

    start: int
    ends: frozenset[int]
    max_length: int
    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    processors: Processors | None = None


class Text(Protocol):
    """A text while it is written, in one row or in as many as it has beams."""

    rules: Rules
    done: bool

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def tokens(self) -> list[int]:
        """The last token of each row."""

    @property
    def length(self) -> int:
        """How many tokens it has, without the start token."""

    def result(self) -> tuple[list[int], float]:
        """Return its ids, the start token first, and its score."""


class GreedyText:
    """The likeliest token at each step."""

    rows = 1

    def __init__(self, rules: Rules) -> None:
        self.rules, self.done = rules, False
        self._ids = [rules.start]
        self._score = 0.0

    @property
    def tokens(self) -> list[int]:
        """The last token."""
        return self._ids[-1:]

    @property
    def length(self) -> int:
        """How many tokens were written."""
        return len(self._ids) - 1

    def processed(self, scores: Tensor) -> Tensor:
        """Apply the processors to its row ``(1, vocabulary)``."""
        if self.rules.processors is None:
            return scores
        ids = torch.tensor([self._ids], device=scores.device)
        return self.rules.processors(cast("torch.LongTensor", ids), cast("torch.FloatTensor", scores))

    def take(self, token: int, log_probability: float) -> None:
        """Write a token."""
        self._ids.append(token)
        self._score += log_probability
        self.done = token in self.rules.ends or len(self._ids) >= self.rules.max_length

    def result(self) -> tuple[list[int], float]:
        """Return the ids, and the mean log-probability of a token."""
        return self._ids, self._score / max(1, self.length)


class BeamText:
    """Beam search over one document."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.done = rules, False
        self._beams = [[rules.start] for _ in range(rules.beams)]
        # Only the first beam counts at the first step, or all would be the same.
        self._scores = [0.0] + [-1e9] * (rules.beams - 1)
        self._finished: list[tuple[float, list[int]]] = []
        self.sources = list(range(rules.beams))

    @property
    def rows(self) -> int:
        """How many beams there are."""
        return self.rules.beams

    @property
    def tokens(self) -> list[int]:
        """The last token of each beam."""
        return [beam[-1] for beam in self._beams]

    @property
    def length(self) -> int:
        """How many tokens the beams have."""
        return len(self._beams[0]) - 1

    @property
    def candidates(self) -> int:
        """How many continuations are looked at: so many that enough of them go on."""
        return max(2, 1 + len(self.rules.ends)) * self.rules.beams

    @property
    def scores(self) -> list[float]:
        """Sums of the log-probabilities of each beam."""
        return self._scores

    def processed(self, scores: Tensor) -> Tensor:
        """Apply the processors to its rows ``(beams, vocabulary)``."""
        if self.rules.processors is None:
            return scores
        ids = torch.tensor(self._beams, device=scores.device)
        return self.rules.processors(cast("torch.LongTensor", ids), cast("torch.FloatTensor", scores))

    def take(self, scores: list[float], beams: list[int], tokens: list[int]) -> None:
        """Go on with the best continuations, best first: their scores, the beams they continue, and their tokens.

        Afterwards ``sources`` says which beam each beam was before.
        """
        rules, length = self.rules, len(self._beams[0])
        full = length + 1 >= rules.max_length
        hits = [full or token in rules.ends for token in tokens]
        if not (len(self._finished) == rules.beams and rules.early_stopping is True):
            ended = [i for i in range(rules.beams) if hits[i] and scores[i] > -1e8]
            found = [
                (scores[i] / float(length) ** rules.length_penalty, [*self._beams[beams[i]], tokens[i]]) for i in ended
            ]
            # A stable sort: of equal scores the earlier text stays.
            self._finished = sorted([*self._finished, *found], key=lambda one: -one[0])[: rules.beams]
        open_first = sorted(range(len(tokens)), key=lambda i: hits[i])[: rules.beams]
        self._beams, self._scores, self.sources = (
            [[*self._beams[beams[i]], tokens[i]] for i in open_first],
            [scores[i] - 1e9 * hits[i] for i in open_first],
            [beams[i] for i in open_first],
        )
        self.done = all(hits) or not self._can_improve()

    def _can_improve(self) -> bool:
        rules = self.rules
        if len(self._finished) < rules.beams:
            return True
        if rules.early_stopping is True:
            return False
        length = len(self._beams[0]) - 1
        if rules.early_stopping == "never" and rules.length_penalty > 0.0:
            length = rules.max_length - 1
        best: float = self._scores[0] / float(length) ** rules.length_penalty
        return best > self._finished[-1][0]

    def result(self) -> tuple[list[int], float]:
        """Return the ids of the best text, and its sum of log-probabilities over its length to the penalty."""
        if not self._finished:  # no beam is likely at all; transformers returns the first one then
            return self._beams[0], -math.inf
        score, ids = self._finished[0]
        return ids, score


def new_text(rules: Rules) -> GreedyText | BeamText:
    """Begin a text."""
    return GreedyText(rules) if rules.beams == 1 else BeamText(rules)
