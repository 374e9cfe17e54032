"""``longsum summarize`` for folders, tables and results on disk: options, progress, what is printed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from longsum_lib import terminal
from longsum_lib.errors import DocumentError, ForeignText, OptionError
from longsum_lib.generation.jobs.api import cluster_of, run_job
from longsum_lib.generation.jobs.forecast import Forecast, forecast
from longsum_lib.generation.jobs.running import JobReport, Progress, explain, in_order
from longsum_lib.generation.jobs.sources import Item, Reading, find_items
from longsum_lib.generation.jobs.work import Work
from longsum_lib.terminal import TerminalProgress, say

if TYPE_CHECKING:
    from longsum_lib.generation.document_text import DocumentText
    from longsum_lib.generation.jobs.on_ray import Cluster
    from longsum_lib.generation.summary import Summary

_SECONDS_BETWEEN_LINES = 60.0  # of progress, where standard error is no terminal


def run_summarize_job(options: argparse.Namespace, default_model: str) -> int:
    """Do what the command line says.

    Returns:
        The exit code: 0 done, 1 some documents failed.

    Raises:
        OptionError: Options make no sense together.
    """
    if options.into is None:
        alone = next((name for name in ("resume", "force") if getattr(options, name)), None)
        alone = "engine ray" if options.engine == "ray" else alone
        if alone:
            raise OptionError(f"--{alone} is about results on disk; give --into as well")
    cluster = cluster_of(options.engine, options.address, options.workers, options.gpus_per_worker or 0.0)
    if options.cite_html:
        raise OptionError("--cite-html is one page for one document; give one file, without --into")
    files = options.files or ["-"]
    if not options.files and (sys.stdin is None or sys.stdin.isatty()):
        raise DocumentError("give a FILE, a folder, or - for standard input (see: longsum summarize --help)")
    work, reading = _work(options, default_model), _reading(options)
    if options.dry_run:
        return _dry_run(options, files, work, reading)
    with TerminalProgress() as progress:
        if options.into is None:
            return _print_all(options, find_items(files, reading), work, reading, progress)
        return _into(options, files, work, reading, progress, cluster)


def print_files(options: argparse.Namespace, default_model: str) -> int:
    """Print the summaries of several files, in their order, under the names that they were given by.

    Returns:
        The exit code: 0 done, 1 some failed, 2 a bundled model that was named does not know one of them.
    """
    with TerminalProgress() as progress:
        items = [Item(name, name) for name in options.files]
        return _print_all(options, items, _work(options, default_model), _reading(options), progress)


def _work(options: argparse.Namespace, default_model: str) -> Work:
    terminal.quiet_libraries()
    work = Work(options.model, default_model, _summarize_options(options))
    work.check()
    return work


def _reading(options: argparse.Namespace) -> Reading:
    names = ("glob", "text_column", "id_column", "encoding", "speakers", "times")
    return Reading(**{name: getattr(options, name) for name in names}, leave_out=options.into)


def _summarize_options(options: argparse.Namespace) -> dict[str, Any]:
    """Take the options of ``summarize`` from those of the command."""
    names = ("max_new_tokens", "min_new_tokens", "num_beams", "no_repeat_ngram_size", "truncate", "split")
    taken = {name: getattr(options, name) for name in (*names, "extract_first", "anyway")}
    taken |= {"batch_size": options.batch_size}
    taken |= {"device": options.device, "dtype": options.dtype, "quantization": options.quantize}
    taken |= {"fast": options.fast}
    if options.quantize is not None or options.dtype != "auto":
        from longsum_lib.loading.quantized import warn_if_slower

        warn_if_slower(options.quantize, options.device, options.dtype)
    return {name: value for name, value in taken.items() if value not in (None, False, "auto")}


class _Evidence:
    """Finds passages and names that are not there, where the command was asked for them."""

    def __init__(self, options: argparse.Namespace, work: Work) -> None:
        self.options, self.work = options, work
        self.asked = tuple(name for name in ("cite", "check") if getattr(options, name))
        if options.entailment is not None:
            self.asked += (f"entailment by {options.entailment}",)

    def find(self, document: DocumentText, summary: Summary) -> Any:
        from longsum_lib.cli.evidence import find_evidence

        loaded = (None, None) if summary.extractive else self.work.loaded(summary.model)
        return find_evidence(self.options, document, summary, *loaded)

    def __call__(self, document: DocumentText, summary: Summary) -> tuple[dict[str, Any], str]:
        found = self.find(document, summary)
        return found.fields(), found.text()


def _into(
    options: argparse.Namespace,
    files: list[str],
    work: Work,
    reading: Reading,
    line: TerminalProgress,
    cluster: Cluster | None,
) -> int:
    evidence = _Evidence(options, work)
    report = run_job(
        files,
        options.into,
        work,
        reading,
        options.resume,
        options.force,
        evidence=evidence if evidence.asked else None,
        asked=evidence.asked,
        progress=_Shown(line),
        cluster=cluster,
    )
    line.clear()
    say(_in_words(report))
    return int(report.failed > 0)


def _print_all(
    options: argparse.Namespace, items: Iterable[Item], work: Work, reading: Reading, line: TerminalProgress
) -> int:
    from longsum_lib.cli.printing import print_summary

    evidence, shown, code = _Evidence(options, work), _Shown(line), 0
    first, counts = True, Progress(0, 0, 0, 0)
    for item, document, result in in_order(items, work, reading):
        failed = isinstance(result, Exception) or document is None
        error = explain(result) if isinstance(result, Exception) else ""
        counts = dataclasses.replace(
            counts, documents=counts.documents + 1, failed=counts.failed + failed, name=item.id, error=error
        )
        shown(counts)
        if isinstance(result, Exception) or document is None:
            code = max(code, 2 if isinstance(result, ForeignText) else 1)
            continue
        line.clear()
        found = evidence.find(document, result)
        print_summary(result, item.id, options.output, first, options.model is None, found, heading=True)
        first = False
    return code


class _Shown:
    """Progress of a job: a line on a terminal, a line a minute elsewhere, and a line for each failure."""

    def __init__(self, line: TerminalProgress) -> None:
        self._terminal = line
        self._started = self._said = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.error:
            self._terminal.clear()
            say(progress.error if progress.name in progress.error else f"{progress.name}: {progress.error}")
        rate = 60 * progress.documents / max(1e-3, now - self._started)
        line = f"{progress.documents:,} documents, {progress.failed:,} failed, {rate:,.0f} a minute"
        if self._terminal.visible:
            self._terminal.show(f"{line}; {progress.name}")
        elif now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            say(line)


def _in_words(report: JobReport) -> str:
    parts = [f"{report.documents:,} documents in {report.into}", f"{report.computed:,} summarized"]
    parts += [f"{report.reused:,} had a summary already"] if report.reused else []
    parts += [f"{report.failed:,} failed, see their rows"] if report.failed else []
    return ", ".join(parts)


def _dry_run(options: argparse.Namespace, files: list[str], work: Work, reading: Reading) -> int:
    found: list[Forecast] = []
    refused = 0
    for one in forecast(find_items(files, reading), work, reading):
        refused += bool(one.refused)
        found.append(dataclasses.replace(one, id=""))
        if options.output == "json":
            print(json.dumps(dataclasses.asdict(one), ensure_ascii=False), flush=True)
        elif one.refused:
            print(f"{one.id}: refused: {one.refused}", flush=True)
        else:
            unit = "words" if one.model == "extract" else "tokens"
            print(f"{one.id}: {one.tokens:,} {unit}, {one.model}", flush=True)
    from longsum_lib.units import gib

    read = [one for one in found if not one.refused]
    seconds, memory = sum(one.seconds for one in read), max((one.memory for one in read), default=0)
    tokens = sum(one.tokens for one in read)
    peak = f", at most {gib(int(memory))} of memory" if memory else ""
    say(f"{len(read):,} documents, {tokens:,} tokens, about {_duration(seconds)} here{peak}; {refused:,} refused")
    return int(refused > 0)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
