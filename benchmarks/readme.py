"""The README's table of results, made from ``results/cpu.json``: ``python -m benchmarks.readme`` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from longsum_lib.viz.results import Results, load_results

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
LENGTH = 16384


def table(stored: Results) -> str:
    """Return the Markdown between the markers."""
    lines = [
        "LED at base width, fp32, two CPU cores, beside transformers' class with the same weights:",
        "",
        "| | this library | transformers | |",
        "|---|---|---|---|",
    ]
    encoder = {"length": LENGTH, "dtype": "float32"}
    rows = [
        ("encode {length:,} tokens, two layers", stored.row("encoder_time", allocator="default", **encoder)),
        (
            "the same with an allocator that keeps its pages",
            stored.row("encoder_time", allocator="kept pages", **encoder),
        ),
        ("one decoding step with {beams} beams", stored.row("decoder_step", beams=4, allocator="default")),
        ("{length:,} tokens to a summary of {new_tokens}, {beams} beams", stored.row("summary", allocator="default")),
        ("training step, {length:,} tokens, two layers", stored.row("training_step", allocator="default")),
    ]
    for words, row in rows:
        ours, theirs = (_seconds(row[name]) for name in ("seconds", "transformers_seconds"))
        lines.append(f"| {words.format(**row)} | {ours} | {theirs} | **{row['times_faster']:.1f} × faster** |")
    memory = [
        ("extra memory to encode {length:,} tokens", stored.row("encoder_memory", **encoder)),
        ("extra memory from {length:,} tokens to a summary", stored.row("summary", allocator="default")),
        ("extra memory of the training step", stored.row("training_step", allocator="default")),
    ]
    for words, row in memory:
        ours, theirs = (_mebibytes(row[name]) for name in ("extra_mib", "transformers_extra_mib"))
        share = f"**{row['fraction_of_transformers']:.2g} of it**"
        lines.append(f"| {words.format(**row)} | {ours} | {theirs} | {share} |")
    return "\n".join(
        [
            *lines,
            "",
            *_other_models(stored),
            "",
            _beside_full_attention(stored),
            "",
            stored.caption() + " `make bench` measures yours.",
        ]
    )


def _other_models(stored: Results) -> list[str]:
    """Encoders beside transformers' class of the same name: times faster with both allocators, share of its memory."""
    lines = [
        f"The encoders of the other models on {LENGTH:,} tokens, beside transformers' class of the same name:",
        "",
        "| two layers | default allocator | kept pages | extra memory |",
        "|---|---|---|---|",
    ]
    for default in stored.rows("model_time", length=LENGTH, allocator="default"):
        if default["times_faster"] is None:
            continue
        kept = stored.row("model_time", model=default["model"], length=LENGTH, allocator="kept pages")
        memory = stored.row("model_memory", model=default["model"], length=LENGTH)
        times = " | ".join(f"**{row['times_faster']:.1f} × faster**" for row in (default, kept))
        lines.append(f"| {default['model']} | {times} | {memory['fraction_of_transformers']:.2g} of it |")
    return lines


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 10 else f"{value:.2g} s" if value < 0.1 else f"{value:.2f} s"


def _mebibytes(value: float) -> str:
    return f"{value:,.0f} MiB"


def _beside_full_attention(stored: Results) -> str:
    ratios: dict[int, list[float]] = {}
    for row in stored.rows("encoder_time", dtype="float32"):  # with both allocators
        if row["times_faster_than_full"] is not None:
            ratios.setdefault(row["length"], []).append(row["times_faster_than_full"])
    slower = max((length for length, values in ratios.items() if min(values) <= 1), default=0)
    faster = sorted(length for length in ratios if length > slower)
    if not faster:
        return "Full fused attention is as fast at these lengths."
    longest = stored.row("encoder_time", allocator="default", dtype="float32", length=faster[-1])
    level = max(ratios.get(slower, [0.0])) > 1
    also = (
        f" (at {slower:,} {min(ratios[slower]):.2f} to {max(ratios[slower]):.2f} times, by allocator)" if level else ""
    )
    return (
        f"Beside full fused attention (BART's encoder) LED's encoder is faster from {faster[0]:,} tokens up{also}, "
        f"{longest['times_faster_than_full']:.1f} times at {faster[-1]:,}. It takes "
        f"{longest['times_bound']:.2f} times the time that its matrix products alone need on this machine."
    )


def with_table(text: str, lines: str) -> str:
    """Return the README's text with other lines between the markers."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{lines}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(load_results())), encoding="utf-8")
