"""Do the passages of ``--cite`` hold the facts, and what does ``--check`` miss? ``python -m benchmarks.evidence``.

The synthetic corpus knows where each fact stands. A claim is a sentence of a summary; what it says is read with the
corpus's own patterns. The passages that hold it are the sentences that state the same value for the same slot, be it
the fact, an earlier value that was corrected, or a statement about another survey. The result goes to
``benchmarks/results/evidence.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import documents as real
from benchmarks import machine
from longsum_lib.corpus import Document, make_document
from longsum_lib.corpus.world import draw_value, world
from longsum_lib.evaluation.facts import read_facts
from longsum_lib.generation.evidence import check, cite
from longsum_lib.generation.evidence.attention import sentence_attention
from longsum_lib.generation.sentences import sentence_spans

HERE = Path(__file__).parent
RESULTS = (HERE / "results" / "evidence.json", HERE.parent / "longsum_lib" / "data" / "benchmarks" / "evidence.json")
MODELS = ("led-tiny", "pegasus-x-tiny", "longt5-tiny", "lsg-tiny")
LENGTHS = (1024, 2048, 4096)
FIRST_SEED = 70_000


def documents(count: int) -> list[Document]:
    """Held-out documents of several lengths."""
    return [make_document(FIRST_SEED + number, LENGTHS[number % len(LENGTHS)], split="test") for number in range(count)]


def holders(document: Document, claim: str) -> list[tuple[int, int]] | None:
    """Spans of the sentences that state what a claim says; None if the claim is about no fact."""
    if f"report of the {document.name} survey" in claim:
        opening = re.search(rf"[^.\n]*the {document.name} survey[^.\n]*\.", document.text)
        title = (0, document.text.index("\n"))
        return [title, opening.span()] if opening else [title]
    found = read_facts(claim)
    if not found:
        return None
    (slot, value) = next(iter(found.items()))
    spans = [fact.evidence for fact in document.facts if (fact.slot, fact.value) == (slot, value)]
    spans += [
        fact.superseded_evidence
        for fact in document.facts
        if (fact.slot, fact.superseded_value) == (slot, value) and fact.superseded_evidence
    ]
    return spans + [other.evidence for other in document.distractors if (other.slot, other.value) == (slot, value)]


def passages(documents: Sequence[Document], summaries: Sequence[str], loaded: Any = None) -> dict[str, Any]:
    """Precision and recall of the passages of some summaries.

    Returns:
        ``claims`` that the document states, ``recall``: share of them with a passage that holds it, ``cited``
        sentences, ``precision``: share of them that hold their claim, ``made_up``: claims that the document does not
        state, ``made_up_cited``: how many of those were given a passage all the same.
    """
    counts: Counter[str] = Counter()
    for document, summary in zip(documents, summaries, strict=True):
        if not summary.strip():
            continue
        for claim in cite(summary, document.text, *(loaded or ())).claims:
            spans = holders(document, claim.text)
            if spans is None:
                continue
            right = [any(_overlap((p.start, p.end), span) for span in spans) for p in claim.passages]
            counts["cited"] += len(right)
            counts["cited_right"] += sum(right)
            if spans:
                counts["claims"] += 1
                counts["claims_found"] += any(right)
            else:
                counts["made_up"] += 1
                counts["made_up_cited"] += bool(right)
    return {
        "claims": counts["claims"],
        "recall": _share(counts["claims_found"], counts["claims"]),
        "cited": counts["cited"],
        "precision": _share(counts["cited_right"], counts["cited"]),
        "made_up": counts["made_up"],
        "made_up_cited": counts["made_up_cited"],
    }


def attention_alone(documents: Sequence[Document], summaries: Sequence[str], loaded: Any) -> dict[str, Any]:
    """How often the sentence that the model looked at most holds the claim, of the claims that the document states."""
    right = total = 0
    for document, summary in zip(documents, summaries, strict=True):
        claims, sentences = (list(sentence_spans(text)) for text in (summary, document.text))
        if not claims:
            continue
        looked = sentence_attention(*loaded, document.text, summary, claims, sentences)
        for (start, end), row in zip(claims, looked, strict=True):
            spans = holders(document, summary[start:end])
            if spans:
                total += 1
                right += any(_overlap(sentences[int(row.argmax())], span) for span in spans)
    return {"claims": total, "recall": _share(right, total)}


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def extracts(documents: Sequence[Document], seed: int = 0) -> list[list[tuple[int, int]]]:
    """Nine sentences of each document, the facts among them, in its order."""
    rng = random.Random(seed)
    chosen = []
    for document in documents:
        spans = list(sentence_spans(document.text))
        facts = [fact.evidence for fact in document.facts[:5]]
        others = [spans[int(rng.random() * len(spans))] for _ in range(9 - len(facts))]
        chosen.append(sorted({*facts, *others}))
    return chosen


def extract_passages(documents: Sequence[Document]) -> dict[str, Any]:
    """Passages of extracts: the right one is the sentence that was taken."""
    right = cited = total = 0
    for document, spans in zip(documents, extracts(documents), strict=True):
        summary = " ".join(document.text[start:end] for start, end in spans)
        citations = cite(summary, document.text)
        total += len(spans)
        for passage in (passage for claim in citations.claims for passage in claim.passages):
            cited += 1
            right += (passage.start, passage.end) in spans
    return {"claims": total, "recall": _share(right, total), "cited": cited, "precision": _share(right, cited)}


# --- check ----------------------------------------------------------------------------------------


def planted(document: Document, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Summaries with one fact changed: ``(kind of change, summary, wrong value)``."""
    slots = {slot["name"]: slot for slot in world()["slots"]}
    for fact in document.facts:
        slot = slots[fact.slot]
        if slot["value"] == "finding":
            continue  # a common noun: neither a name nor a number
        sentence = slot["summary"].format(v=fact.value)
        while True:
            value = draw_value(rng, "test", slot["value"])
            if value not in document.text:
                break
        yield "made up", document.summary.replace(sentence, slot["summary"].format(v=value)), value
        others = [other for other in document.facts if _swaps(slots[other.slot], slot) and other.value != fact.value]
        if others:
            value = others[0].value
            yield "of another fact", document.summary.replace(sentence, slot["summary"].format(v=value)), value
        decoys = [other.value for other in document.distractors if other.slot == fact.slot]
        if decoys:
            yield "of a distractor", document.summary.replace(sentence, slot["summary"].format(v=decoys[0])), decoys[0]


def _swaps(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a value of one slot could be mistaken for the other's: both names, or both numbers."""
    return one["name"] != other["name"] and one["value"][:4] == other["value"][:4]


def checks(documents: Sequence[Document]) -> dict[str, Any]:
    """Alarms on true summaries, and misses on summaries with one changed fact."""
    rng = random.Random(1)
    false, facts = Counter(), 0
    planted_counts: dict[str, Counter[str]] = {}
    for document in documents:
        found = check(document.summary, document.text).findings
        facts += len(document.facts)
        false.update(finding.verdict for finding in found)
        for kind, summary, value in planted(document, rng):
            counts = planted_counts.setdefault(kind, Counter())
            counts["planted"] += 1
            verdicts = {f.verdict for f in check(summary, document.text).findings if f.text in value or value in f.text}
            counts["missing"] += "missing" in verdicts
            counts["elsewhere"] += verdicts == {"elsewhere"}
    return {
        "true_summaries": len(documents),
        "facts": facts,
        "false_alarms": {"missing": false["missing"], "elsewhere": false["elsewhere"]},
        "planted": {
            kind: {
                "planted": counts["planted"],
                "found_missing": counts["missing"],
                "found_elsewhere": counts["elsewhere"],
                "missed": counts["planted"] - counts["missing"] - counts["elsewhere"],
            }
            for kind, counts in planted_counts.items()
        },
    }


def abstracts(folder: Path) -> dict[str, Any]:
    """What is said of the abstracts that authors wrote themselves: long documents of the index in ``documents``.

    An abstract is true of its document, but may say what the body does not: not every finding is a false alarm.
    """
    counts: Counter[str] = Counter()
    for entry in real.entries():
        example = real.read(folder, entry)
        found, citations = check(example.abstract, example.text), cite(example.abstract, example.text)
        counts["documents"] += 1
        counts["looked_up"] += found.names + found.numbers + found.dates
        counts.update(finding.verdict for finding in found.findings)
        counts["sentences"] += len(citations.claims)
        counts["with_passage"] += sum(bool(claim.passages) for claim in citations.claims)
    return dict(counts)


def run(count: int, models: Sequence[str], folder: Path | None = None) -> dict[str, Any]:
    """Measure everything."""
    some = documents(count)
    rows = {"reference": passages(some, [document.summary for document in some]), "extract": extract_passages(some)}
    for name in models:
        from longsum_lib import load, load_tokenizer, summarize

        loaded = load(name), load_tokenizer(name)
        summaries = [s.text for s in summarize([d.text for d in some], loaded[0], tokenizer=loaded[1], truncate=True)]
        rows[name] = passages(some, summaries)
        rows[f"{name}, with cross-attention"] = passages(some, summaries, loaded)
        rows[f"{name}, by cross-attention alone"] = attention_alone(some, summaries, loaded)
    return {
        "machine": machine.describe(),
        "versions": machine.versions(),
        "documents": {"count": count, "lengths": LENGTHS, "first_seed": FIRST_SEED, "split": "test"},
        "passages": rows,
        "check": checks(some),
        **({} if folder is None else {"abstracts": abstracts(folder)}),
    }


def main() -> None:
    """Measure, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="documents (default: %(default)s)")
    parser.add_argument(
        "--models", nargs="*", default=MODELS, help="models whose summaries are measured (default: all)"
    )
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="documents that benchmarks.documents downloaded")
    options = parser.parse_args()
    result = run(options.count, options.models, options.real)
    for name, row in result["passages"].items():
        print(f"{name:36} {json.dumps(row)}")
    print(json.dumps({name: result[name] for name in ("check", "abstracts") if name in result}, indent=1))
    for path in RESULTS:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
