"""What the generator returns: documents, key facts and distractors, and the knobs that it takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("plain", "superseded", "alias")


@dataclass(frozen=True)
class Difficulty:
    """The knobs of the generator.

    Attributes:
        superseded: Share of the facts that are corrected later in the document.
        alias: Share of the facts that are said through the alias only.
        distractors_per_fact: Distractors per key fact.
        distractors_per_1000_tokens: Further distractors per 1,000 tokens of the document.
        name_matching: Share of distractors that differ from a key fact by the survey's name alone.
        max_distractors: No document gets more distractors than this.
    """

    superseded: float = 0.2
    alias: float = 0.15
    distractors_per_fact: float = 0.4
    distractors_per_1000_tokens: float = 1.0
    name_matching: float = 0.2
    max_distractors: int = 40


@dataclass(frozen=True)
class Fact:
    """One key fact of a document.

    Attributes:
        slot: Name of the slot, such as ``"leader"``.
        value: The value that the summary must contain.
        kind: ``"plain"``, ``"superseded"`` or ``"alias"``.
        evidence: ``(start, end)`` of the deciding sentence, in characters of the text.
        value_span: ``(start, end)`` of the value inside that sentence, in characters of the text.
        position: Start of the evidence as a fraction of the text's characters, in [0, 1).
        superseded_value: The earlier value that no longer holds, if the kind is ``"superseded"``.
        superseded_evidence: Character span of the sentence with the earlier value.
    """

    slot: str
    value: str
    kind: str
    evidence: tuple[int, int]
    value_span: tuple[int, int]
    position: float
    superseded_value: str | None = None
    superseded_evidence: tuple[int, int] | None = None


@dataclass(frozen=True)
class Distractor:
    """A statement that looks like a key fact and is none.

    Attributes:
        slot: The slot that it imitates.
        value: Its value, which the summary must not contain.
        kind: ``"rumour"`` (other wording), ``"other"`` (another survey, and the wording says so) or ``"name"``
            (another survey, told apart by its name alone).
        evidence: Character span of the sentence.
    """

    slot: str
    value: str
    kind: str
    evidence: tuple[int, int]


@dataclass(frozen=True)
class Document:
    """A generated document.

    Attributes:
        text: Title, sections and paragraphs.
        summary: The reference summary, a few sentences in the canonical order of the slots.
        facts: The key facts, in the order of the summary.
        distractors: What must not be in the summary.
        name: Name of the survey.
        alias: Its second name.
        seed: Seed, and ``split``, ``length``: the arguments that made the document.
        split: ``"train"`` or ``"test"``.
        length: The upper bound in tokens that was asked for.
        tokens: Tokens of the text, its two special tokens included.
    """

    text: str
    summary: str
    facts: list[Fact]
    distractors: list[Distractor]
    name: str
    alias: str
    seed: int
    split: str
    length: int
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """The document as plain lists, numbers and strings, ready for JSON."""
        return asdict(self)
