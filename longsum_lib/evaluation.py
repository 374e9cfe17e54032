"""How good summaries of the synthetic corpus are: ``longsum evaluate``.

The main measure is the share of key facts that a summary gets right. A fact counts as right when its slot's
sentence stands in the summary with exactly its value: ``"The cost was 7606 crowns."`` for the slot ``cost``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from longsum_lib.corpus import Document, make_document
from longsum_lib.corpus.records import KINDS
from longsum_lib.corpus.world import world

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
TENTHS = 10
# Evaluation seeds start here; the bundled documents use 0, 1 and 2.
FIRST_SEED = 1000


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
    """

    recall: Counts = field(default_factory=Counts)
    precision: Counts = field(default_factory=Counts)
    by_kind: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_tenth: list[Counts] = field(default_factory=lambda: [Counts() for _ in range(TENTHS)])
    stale: Counts = field(default_factory=Counts)
    distracted: Counts = field(default_factory=Counts)
    names: Counts = field(default_factory=Counts)

    def add(self, document: Document, summary: str) -> None:
        """Score one summary."""
        found = read_facts(summary)
        wanted = {fact.slot: fact.value for fact in document.facts}
        for fact in document.facts:
            is_right = found.get(fact.slot) == fact.value
            self.recall.add(is_right)
            self.by_kind[fact.kind].add(is_right)
            self.by_tenth[min(int(fact.position * TENTHS), TENTHS - 1)].add(is_right)
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
        }


def score_facts(documents: Iterable[Document], summaries: Iterable[str]) -> FactScores:
    """Key-fact scores of summaries, one for each document.

    Example:
        >>> document = make_document(0, 512, "test")
        >>> score_facts([document], [document.summary]).recall.share
        1.0
    """
    scores = FactScores()
    for document, summary in zip(documents, summaries, strict=True):
        scores.add(document, summary)
    return scores


def rouge(references: Sequence[str], summaries: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE F1 in percent, by the ``rouge-score`` package with stemming.

    ``rougeLsum`` compares sentence by sentence (one sentence a line), ``rougeL`` the whole text at once.

    Raises:
        ImportError: If ``rouge-score`` is not installed.
    """
    try:
        from rouge_score import rouge_scorer
    except ImportError as error:
        raise ImportError('ROUGE needs the package rouge-score: pip install "longsum-lib[evaluation]"') from error
    names = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    scorer = rouge_scorer.RougeScorer(names, use_stemmer=True)

    def by_line(text: str) -> str:
        return re.sub(r"(?<=[.!?]) ", "\n", text)

    pairs = list(zip(references, summaries, strict=True))
    scores = [scorer.score(by_line(reference), by_line(summary)) for reference, summary in pairs]
    return {name: round(100 * sum(s[name].fmeasure for s in scores) / len(scores), 2) for name in names}


def generate_summaries(
    model: Any, tokenizer: Any, texts: Sequence[str], *, tokens_per_batch: int = 16_384, **options: Any
) -> Iterator[str]:
    """Summaries by ``generate``, the first token of every document global where the model has global tokens.

    Args:
        model: A sequence-to-sequence model in eval mode.
        tokenizer: Its tokenizer.
        texts: The documents.
        tokens_per_batch: Document tokens, padding included, that are generated for at once.
        options: For ``generate``: ``num_beams``, ``max_new_tokens``, ...

    Yields:
        One summary for each text, in order.
    """
    import torch

    options = {"max_new_tokens": 200, "num_beams": 1, "do_sample": False} | options
    uses_global_mask = model.config.model_type == "led"
    batch: list[str] = []
    longest = 0
    rows = [tokenizer(text).input_ids for text in texts]
    for index, row in enumerate(rows):
        longest = max(longest, len(row))
        batch.append(row)
        following = max(longest, len(rows[index + 1])) if index + 1 < len(rows) else None
        if following is not None and following * (len(batch) + 1) <= tokens_per_batch:
            continue
        inputs = tokenizer.pad({"input_ids": batch}, return_tensors="pt").to(model.device)
        if uses_global_mask:
            is_global = torch.zeros_like(inputs["input_ids"])
            is_global[:, 0] = 1
            inputs["global_attention_mask"] = is_global
        with torch.inference_mode():
            ids = model.generate(**inputs, **options)
        yield from tokenizer.batch_decode(ids, skip_special_tokens=True)
        batch, longest = [], 0


def evaluate(
    model: Any,
    tokenizer: Any,
    *,
    length: int,
    limit: int = 50,
    split: str = "test",
    first_seed: int = FIRST_SEED,
    progress: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Score a model on documents of one length that it has not seen.

    Args:
        model: A sequence-to-sequence model in eval mode.
        tokenizer: Its tokenizer; the documents are as long as asked for by the bundled one.
        length: Tokens of each document, at most.
        limit: Documents.
        split: ``"test"`` for names and numbers that training never showed.
        first_seed: Seed of the first document.
        progress: Show a counter on standard error.
        options: For ``generate``.

    Returns:
        The scores as plain numbers, with seconds spent and, if ``rouge-score`` is installed, ROUGE.
    """
    documents = [make_document(first_seed + index, length, split) for index in range(limit)]
    summaries, start = [], time.perf_counter()
    for summary in generate_summaries(model, tokenizer, [d.text for d in documents], **options):
        summaries.append(summary)
        if progress:
            print(f"\r{length} tokens: {len(summaries)}/{limit}", end="", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    if progress:
        print(file=sys.stderr)
    report = {"length": length, "documents": limit, "split": split, "first_seed": first_seed}
    report |= {"options": options, "seconds": round(seconds, 1)}
    report |= score_facts(documents, summaries).to_dict()
    try:
        report["rouge"] = rouge([document.summary for document in documents], summaries)
    except ImportError:
        report["rouge"] = None
    return report


def format_table(reports: Sequence[dict[str, Any]]) -> str:
    """The reports as two Markdown tables: by kind of fact, and by tenth of the document."""

    def percent(counts: dict[str, Any]) -> str:
        return "–" if counts["share"] is None else f"{100 * counts['share']:.1f}"

    lines = [
        "| tokens | documents | facts | recall | precision | " + " | ".join(KINDS) + " | stale | R-1 | R-2 | R-L |",
        "|---" * 11 + "|",
    ]
    for report in reports:
        scores = report["rouge"] or {}
        cells = [report["length"], report["documents"], report["recall"]["total"]]
        cells += [percent(report["recall"]), percent(report["precision"])]
        cells += [percent(report["by_kind"][kind]) for kind in KINDS] + [percent(report["stale"])]
        cells += [scores.get(name, "–") for name in ("rouge1", "rouge2", "rougeL")]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += ["", "Recall by the place of the evidence in the document, first to last tenth:", ""]
    lines += ["| tokens | " + " | ".join(str(tenth + 1) for tenth in range(TENTHS)) + " |", "|---" * 11 + "|"]
    for report in reports:
        lines.append(f"| {report['length']} | " + " | ".join(percent(c) for c in report["by_tenth"]) + " |")
    return "\n".join(lines)


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``longsum evaluate``."""
    parser.add_argument("--model", default="led-tiny", help="bundled name, folder or hub name (default: led-tiny)")
    parser.add_argument(
        "--length", type=int, nargs="+", default=[4096], help="tokens of the documents, one or more lengths"
    )
    parser.add_argument("--limit", type=int, default=50, help="documents of each length (default: 50)")
    parser.add_argument("--split", default="test", choices=["train", "test"])
    parser.add_argument("--num-beams", type=int, default=1, help="beams (default: 1, greedy)")
    parser.add_argument("--device", default=None, help="cpu, cuda, ... (default: as the model is loaded)")
    parser.add_argument("--json", type=Path, default=None, help="also write the report to this file")


def run_evaluate(args: argparse.Namespace) -> int:
    """Run ``longsum evaluate``: the table on standard output, progress on standard error."""
    from longsum_lib.models.auto import load, load_tokenizer

    model = load(args.model, device=args.device)
    tokenizer = load_tokenizer(args.model)
    reports = [
        evaluate(
            model,
            tokenizer,
            length=length,
            limit=args.limit,
            split=args.split,
            num_beams=args.num_beams,
            progress=sys.stderr.isatty(),
        )
        for length in args.length
    ]
    print(format_table(reports))
    if args.json:
        args.json.write_text(json.dumps({"model": str(args.model), "reports": reports}, indent=1) + "\n")
    return 0
