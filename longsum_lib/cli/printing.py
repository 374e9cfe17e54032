"""How the command shows a summary."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from longsum_lib.terminal import say

if TYPE_CHECKING:
    from longsum_lib.cli.evidence import Evidence
    from longsum_lib.generation.summary import Summary


def print_summary(
    summary: Summary,
    name: str,
    output: str,
    first: bool,
    chosen: bool,
    evidence: Evidence,
    *,
    heading: bool = False,
) -> None:
    """Print a summary on standard output and what is to be said of it on standard error.

    Args:
        summary: What was written or chosen.
        name: The document's file.
        output: ``"text"`` or ``"json"``.
        first: Whether nothing was printed before.
        chosen: Whether the model was chosen for the caller.
        evidence: Where it comes from, as far as that was asked for.
        heading: Whether there are several, so that on a terminal each carries its document's name.
    """
    if output == "json":
        fields = dataclasses.asdict(summary) | evidence.fields()
        fields["seconds"] = round(fields["seconds"], 3)
        print(json.dumps({"file": name, **fields}, ensure_ascii=False), flush=True)
    else:
        title = f"{name}\n{'-' * len(name)}" if heading and sys.stdout.isatty() else ""
        shown = "\n\n".join(filter(None, (summary.text, evidence.text())))
        shown = f"{title}\n{shown}" if title else shown
        print(shown if first else f"\n{shown}", flush=True)
    if summary.extractive and chosen:
        say(f"note: {name}: its own sentences, as the bundled models know only synthetic reports; see longsum models")
    if not summary.text:
        say(f"warning: {name}: the model wrote nothing")
    if summary.truncated:
        read = summary.input_tokens - summary.truncated
        say(f"note: {name}: read the first {read:,} of {summary.input_tokens:,} tokens")
    if summary.extracted:
        say(f"note: {name}: read {summary.extracted:,} tokens of its sentences, of {summary.input_tokens:,} tokens")
    if summary.parts > 1:
        say(f"note: {name}: read {summary.input_tokens:,} tokens in {summary.parts} parts")
    if not summary.complete:
        say(f"note: {name}: the summary stopped at its limit; --max-new-tokens allows more")
