"""The README's table of results: ``python -m benchmarks.readme`` writes it.

It is made from ``results/cpu.json``, and its last column but one from ``results/cpu-zen4.json``.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from longsum_lib.viz.results import Results, load_results
from longsum_lib.viz.scaling import crossover_words

from .tables import ratio_range

README = Path(__file__).resolve().parents[1] / "README.md"
REAL_FILES = Path(__file__).with_name("results") / "real_files.json"
OTHER = "cpu-zen4"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
LENGTH = 16384
ALLOCATORS = ("default", "kept pages")


def table(stored: Results) -> str:
    """Return the Markdown between the markers."""
    other = load_results(OTHER)  # the same cases on another processor
    runs = len(stored.content.get("dates", [stored.content["date"]]))
    return "\n".join(
        [
            "Times faster than transformers' class of the same name with the same weights, fp32, two CPU cores,",
            "with the default allocator and with one that keeps freed memory; in brackets what the rounds allow"
            + (f", in front\nthe lowest of up to {runs} runs." if runs > 1 else "."),
            "Encoders have two layers of base width and read 16,384 tokens. A second AMD EPYC, a Zen 4,",
            f"has a column of its own: the lowest of up to {len(other.content['dates'])} runs.",
            "",
            *_rows(stored, other),
            "",
            _beside_full_attention(stored),
            stored.caption() + " `make bench` measures yours; the book's page of results has the seconds.",
            "",
            _real_files(json.loads(REAL_FILES.read_text(encoding="utf-8"))["real_files"]),
        ]
    )


def _real_files(rows: list[dict]) -> str:
    """One sentence on real documents."""
    pages = [row["pages"] for row in rows]
    sentences, there = (sum(row[name] for row in rows) for name in ("sentences", "in_words"))
    paged = [row for row in rows if row["right_pages"] is not None]
    numbers, right = (sum(row[name] for row in paged) for name in ("sentences", "right_pages"))
    slowest = math.ceil(10 * max(row["cpu_seconds"] for row in rows)) / 10
    return (
        f"`longsum summarize` on {len(rows)} real PDF, DOCX, EPUB, HTML and text files of {min(pages)} to {max(pages)} "
        f"pages: {there} of {sentences} sentences\nare in the file word for word as other libraries read it, "
        f"{right} of {numbers} on the page named; at most {slowest:.1f} CPU seconds each."
    )


def _rows(stored: Results, other: Results) -> list[str]:
    """Every case with both allocators, on both processors, and its share of transformers' extra memory."""
    lines = ["| | default allocator | kept pages | Zen 4, default and kept | extra memory |", "|---|---|---|---|---|"]
    encoder = {"length": LENGTH, "dtype": "float32"}
    for words, name, where, memory in (
        ("LED, encoder", "encoder_time", encoder, stored.row("encoder_memory", **encoder)),
        ("LED, each token of a summary, {beams} beams", "decoder_step", {"beams": 4}, None),
        (
            "LED, {length:,} tokens to a summary, {beams} beams",
            "summary",
            {},
            stored.row("summary", allocator="default"),
        ),
        (
            "LED, training step, {length:,} tokens",
            "training_step",
            {},
            stored.row("training_step", allocator="default"),
        ),
    ):
        rows = _both(stored, name, **where)
        lines.append(_line(words.format(**rows[0]), rows, _both(other, name, **where), memory))
    for default in stored.rows("model_time", length=LENGTH, allocator="default"):
        if default["times_faster"] is not None:
            where = {"model": default["model"], "length": LENGTH}
            rows, beside = (_both(results, "model_time", **where) for results in (stored, other))
            lines.append(_line(f"{default['model']}, encoder", rows, beside, stored.row("model_memory", **where)))
    return lines


def _both(results: Results, name: str, **where: object) -> list[dict]:
    return [results.row(name, allocator=allocator, **where) for allocator in ALLOCATORS]


def _line(words: str, rows: list[dict], beside: list[dict], memory: dict | None) -> str:
    share = f"{memory['fraction_of_transformers']:.2g} of it" if memory else ""
    other = ", ".join(f"{row['times_faster']:.1f} ×" for row in beside)
    return "| " + " | ".join([words, *map(times_faster, rows), other, share]) + " |"


def times_faster(row: dict) -> str:
    """Return the ratio of the medians, and in brackets the smallest and the largest ratio that the rounds allow.

    Example:
        >>> spread = {
        ...     "longsum_lib": {"low": 1, "high": 2, "rounds": 2},
        ...     "transformers": {"low": 4, "high": 8, "rounds": 2},
        ... }
        >>> times_faster({"times_faster": 4.0, "spread": spread})
        '**4.0 ×** (2.0 to 8.0)'
    """
    if row["spread"]["longsum_lib"]["rounds"] == 1:
        return f"**{row['times_faster']:.1f} ×** (one round)"
    low, high = ratio_range(row["spread"])
    return f"**{row['times_faster']:.1f} ×** ({low:.1f} to {high:.1f})"


def _beside_full_attention(stored: Results) -> str:
    """Of several runs the lowest ratio to full attention, and the highest to the bound."""
    longest = stored.row("encoder_time", allocator="default", dtype="float32", length=LENGTH)
    runs = longest.get("runs") or [longest]
    full, bound = min(run["times_faster_than_full"] for run in runs), max(run["times_bound"] for run in runs)
    return (
        f"{crossover_words(stored)} (BART's encoder, the same block), {full:.1f} times at {LENGTH:,}. It takes "
        f"{bound:.2f} times the time that its matrix products alone need on this machine."
    )


def with_table(text: str, lines: str) -> str:
    """Return the README's text with other lines between the markers."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{lines}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(load_results())), encoding="utf-8")
