"""Long documents with a reference summary and the place of every key fact.

A document is the report of one named survey. Each key fact fills one slot (leader, site, ...). Its decisive
evidence stands at a controlled place: the document is cut into as many equal parts as there are facts and each
part gets one fact, in random order. A fact is of one of three kinds:

- ``plain``: said once, about "the survey", "our survey" or the survey by name;
- ``superseded``: said, and corrected further on; the correction holds;
- ``alias``: said only about "the Heron party", a name that the opening sentence gives to the survey.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from longsum_lib.corpus.records import Difficulty, Distractor, Document, Fact
from longsum_lib.corpus.world import SPLITS, draw_value, pick, shuffled, world
from longsum_lib.errors import OptionError

SHORTEST, LONGEST = 96, 65_536


@dataclass
class _Item:
    """A sentence with a wished place in the document (0 to 1) and what it says."""

    place: float
    sentence: str
    role: str  # "fact", "old", "distractor" or "note"
    slot: str = ""
    value: str = ""
    kind: str = ""
    span: tuple[int, int] = field(default=(0, 0))


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _number_of_facts(rng: random.Random, length: int) -> int:
    """Fewer facts in short documents, so that they fit: 2 to 3 at 96 tokens, 7 to 10 from 1,024 on."""
    for limit, low, high in ((128, 2, 3), (192, 3, 4), (256, 3, 5), (512, 4, 7), (1024, 6, 9)):
        if length < limit:
            return low + int(rng.random() * (high - low + 1))
    return 7 + int(rng.random() * 4)


class _Names:
    """Draws values that do not occur twice in one document."""

    def __init__(self, rng: random.Random, split: str):
        self.rng, self.split = rng, split
        self.seen: set[str] = set()

    def draw(self, kind: str) -> str:
        for _ in range(1000):
            value = draw_value(self.rng, self.split, kind)
            if value not in self.seen:
                self.seen.add(value)
                return value
        raise RuntimeError(f"no unused value of kind {kind!r} left")


def _plan_facts(
    rng: random.Random, names: _Names, difficulty: Difficulty, count: int, name: str, alias: str
) -> tuple[list[_Item], list[int]]:
    """Choose slots, kinds, places and wording of the key facts; earlier values come as items of their own."""
    slots = world()["slots"]
    chosen = sorted(shuffled(rng, range(len(slots)))[:count])
    order = shuffled(rng, range(count))
    items = []
    for rank, index in zip(order, chosen, strict=True):
        slot, place = slots[index], (rank + rng.random()) / count
        draw = rng.random()
        kind = "plain"
        if draw < difficulty.superseded:
            kind = "superseded"
        elif place > 0.4 and draw < difficulty.superseded + difficulty.alias / 0.6:
            kind = "alias"  # used late only, so its share among the late facts is larger
        value = names.draw(slot["value"])
        subject = f"the {alias} party" if kind == "alias" else _own_subject(rng, name)
        if kind == "superseded":
            old = names.draw(slot["value"])
            items.append(_Item(rng.random() * place, _fact(rng, slot, old, subject), "old", slot["name"], old))
            sentence = pick(rng, world()["correction_leads"]) + pick(rng, slot["corrections"]).format(v=value) + "."
        else:
            sentence = _fact(rng, slot, value, subject)
        items.append(_Item(place, sentence, "fact", slot["name"], value, kind))
    return items, chosen


def _bundled_count() -> Callable[[str], int]:
    from longsum_lib.corpus.tokenizer import count_tokens

    return count_tokens


def _own_subject(rng: random.Random, name: str) -> str:
    return pick(rng, ("the survey", "our survey", f"the {name} survey", f"the {name} survey"))


def _fact(rng: random.Random, slot: dict[str, Any], value: str, subject: str, lead: str | None = None) -> str:
    lead = pick(rng, world()["fact_leads"]) if lead is None else lead
    return _capital(lead + pick(rng, slot["facts"]).format(S=subject, v=value) + ".")


def _plan_distractors(
    rng: random.Random, names: _Names, difficulty: Difficulty, length: int, chosen: list[int], other: str, alias: str
) -> list[_Item]:
    """Rumours and statements about the other survey, mostly for slots that the summary has too."""
    slots = world()["slots"]
    expected = difficulty.distractors_per_fact * len(chosen) + difficulty.distractors_per_1000_tokens * length / 1000
    count = min(int(expected + rng.random()), difficulty.max_distractors)
    items = []
    for _ in range(count):
        index = pick(rng, chosen) if rng.random() < 0.8 else int(rng.random() * len(slots))
        slot = slots[index]
        value = names.draw(slot["value"])
        subject = f"the {alias} party" if rng.random() < 0.3 else f"the {other} survey"
        draw = rng.random()
        if draw < difficulty.name_matching:
            kind, sentence = "name", _fact(rng, slot, value, subject)
        elif draw < (1 + difficulty.name_matching) / 2:
            kind, sentence = "other", _fact(rng, slot, value, subject, pick(rng, world()["other_leads"]))
        else:
            kind, sentence = "rumour", _capital(pick(rng, slot["rumours"]).format(v=value) + ".")
        items.append(_Item(rng.random(), sentence, "distractor", slot["name"], value, kind))
    if any(item.kind != "rumour" for item in items) and rng.random() < 0.5:
        opening = pick(rng, world()["other_openings"]).format(other=other, alias=alias)
        items.append(_Item(0.02 + 0.3 * rng.random(), opening, "note"))
    return items


def _filler(rng: random.Random, template: str) -> str:
    """Fill a filler template; ``{who2}`` draws from the list ``who`` again, another word than ``{who}``."""
    lists, words = world()["lists"], {}
    for key in _fields(template):
        if key == "n":
            words[key] = str(2 + int(rng.random() * 10))
            continue
        options = lists[key.rstrip("2")]
        word = pick(rng, options)
        while word == words.get(key.rstrip("2")):
            word = pick(rng, options)
        words[key] = word
    return _capital(template.format(**words))


_FIELDS: dict[str, list[str]] = {}


def _fields(template: str) -> list[str]:
    if template not in _FIELDS:
        _FIELDS[template] = [part.split("}")[0] for part in template.split("{")[1:]]
    return _FIELDS[template]


@dataclass
class _Section:
    title: str
    sentences: list[str]


def _fill_sections(rng: random.Random, budget: int, count_tokens: Callable[[str], int]) -> list[_Section]:
    """Sections of filler sentences that together have at most ``budget`` tokens."""
    sections: list[_Section] = []
    topics: list[dict[str, Any]] = []
    number = 0
    while True:
        topics = topics or shuffled(rng, world()["sections"])
        topic = topics.pop()
        title = f"{number + 1}. {pick(rng, topic['titles'])}"
        cost = count_tokens(title)
        section = _Section(title, [])
        for _ in range(6 + int(rng.random() * 14)):
            sentence = _filler(rng, pick(rng, topic["sentences"]))
            tokens = count_tokens(sentence)
            if cost + tokens > budget:
                return sections + [section] * bool(section.sentences)
            cost += tokens
            section.sentences.append(sentence)
        budget -= cost
        sections.append(section)
        number += 1


def _weave(sections: list[_Section], items: list[_Item]) -> list[tuple[str, list[str | _Item]]]:
    """Put the items between the filler sentences, each at its wished share of all sentences."""
    total = sum(len(section.sentences) for section in sections)
    waiting = sorted(items, key=lambda item: item.place)
    woven, done = [], 0
    for section in sections:
        content: list[str | _Item] = []
        for sentence in section.sentences:
            while waiting and waiting[0].place * total <= done:
                content.append(waiting.pop(0))
            content.append(sentence)
            done += 1
        woven.append((section.title, content))
    if not woven:
        woven.append(("1. Notes", []))
    woven[-1][1].extend(waiting)
    return woven


def _render(rng: random.Random, title: str, opening: str, woven: list[tuple[str, list[str | _Item]]]) -> str:
    """Write the text and note the character span of every item."""
    parts, size = [], 0

    def add(piece: str) -> tuple[int, int]:
        nonlocal size
        parts.append(piece)
        size += len(piece)
        return size - len(piece), size

    add(f"{title}\n\n{opening}")
    for heading, content in woven:
        add(f"\n\n{heading}\n\n")
        left = 0
        for index, entry in enumerate(content):
            if index:
                left -= 1
                add("\n\n" if left == 0 else " ")
            if left <= 0:
                left = 4 + int(rng.random() * 4)
            if isinstance(entry, str):
                add(entry)
            else:
                entry.span = add(entry.sentence)
    add("\n")
    return "".join(parts)


def _by_slot(items: list[_Item]) -> list[list[_Item]]:
    """The sentences of each slot together: an earlier value without its correction would be a wrong fact."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.slot, []).append(item)
    return list(groups.values())


def _count_words(sentence: str) -> int:
    """A stand-in for a tokenizer: about four tokens to three words."""
    return round(len(sentence.split()) * 4 / 3)


def make_document(
    seed: int,
    length: int,
    split: str = "train",
    *,
    difficulty: Difficulty | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> Document:
    """Write one document with its summary and key facts.

    Args:
        seed: Any whole number; the same arguments give the same document on every machine.
        length: Upper bound of the text in tokens, its two special tokens included, 96 to 65,536. The text is at
            most about 40 tokens shorter.
        split: ``"train"`` or ``"test"``. Names and numbers of the two do not overlap.
        difficulty: How many facts are superseded or said through the alias, and how many distractors there are.
        count_tokens: Counts the tokens of a piece of text without special tokens. Default: the bundled tokenizer.

    Returns:
        The document.

    Raises:
        OptionError: If the length or the split is out of range.

    Cost:
        Time and memory O(length): about 1 ms per 1,000 tokens.
    """
    if split not in SPLITS:
        raise OptionError(option="split", got=split, expected=f"one of {SPLITS}")
    if not SHORTEST <= length <= LONGEST:
        raise OptionError(option="length", got=length, expected=f"{SHORTEST} to {LONGEST} tokens")
    count_tokens = count_tokens or _bundled_count()
    difficulty = difficulty or Difficulty()
    rng = random.Random(f"longsum-{split}-{length}-{seed}")
    names = _Names(rng, split)
    name, other = names.draw("name"), names.draw("name")
    alias, other_alias = shuffled(rng, world()["animals"])[:2]
    title = f"Report of the {name} Survey"
    opening = pick(rng, world()["openings"]).format(name=name, alias=alias)
    count = _number_of_facts(rng, length)
    facts, chosen = _plan_facts(rng, names, difficulty, count, name, alias)
    extras = _plan_distractors(rng, names, difficulty, length, chosen, other, other_alias)
    budget = length - 2 - count_tokens(title) - count_tokens(opening)
    items: list[_Item] = []
    for group in [*_by_slot(facts), *([extra] for extra in extras)]:  # what does not fit any more is left out
        tokens = sum(count_tokens(item.sentence) for item in group)
        if tokens + 30 > budget and items:
            continue
        budget -= tokens
        items.extend(group)
    sections = _fill_sections(rng, budget, count_tokens)
    text = _render(rng, title, opening, _weave(sections, items))
    tokens = 2 + count_tokens(text)
    base = Document(text, "", [], [], name, alias, seed, split, length, tokens)
    return _with_references(base, items)


def _with_references(document: Document, items: list[_Item]) -> Document:
    """Add the summary, the facts and the distractors, whose spans are known now."""
    by_slot = {item.slot: item for item in items if item.role == "fact"}
    old = {item.slot: item for item in items if item.role == "old"}
    facts, sentences = [], [world()["summary_opening"].format(name=document.name)]
    for slot in world()["slots"]:
        item = by_slot.get(slot["name"])
        if item is None:
            continue
        sentences.append(slot["summary"].format(v=item.value))
        start = item.span[0] + item.sentence.index(item.value)
        before = old.get(item.slot)
        facts.append(
            Fact(
                item.slot,
                item.value,
                item.kind,
                item.span,
                (start, start + len(item.value)),
                item.span[0] / len(document.text),
                before.value if before else None,
                before.span if before else None,
            )
        )
    distractors = [Distractor(i.slot, i.value, i.kind, i.span) for i in items if i.role == "distractor"]
    return replace(document, summary=" ".join(sentences), facts=facts, distractors=distractors)
