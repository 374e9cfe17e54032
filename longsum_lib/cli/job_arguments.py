"""The options of ``longsum summarize`` for folders, tables and results on disk."""

from __future__ import annotations

import argparse

from longsum_lib.cli.numbers import positive, whole_number
from longsum_lib.generation.jobs.sources import is_several

_JOB_OPTIONS = ("into", "resume", "force", "dry_run", "glob", "text_column", "id_column", "address", "workers")


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of folders and results on disk to the command that summarizes."""
    add = parser.add_argument_group("many documents: folders, wildcards, .jsonl, .csv, .tsv, .parquet").add_argument
    add("--into", metavar="PLACE", help="a folder, or a file .jsonl, .csv or .parquet, that gets the summaries")
    add("--resume", action="store_true", help="go on with what is in PLACE; equal content and options are done")
    add("--force", action="store_true", help="start again, and write over what is in PLACE")
    add("--dry-run", action="store_true", help="count tokens, predict time and memory, list what would be refused")
    add("--batch-size", type=whole_number(1), metavar="N", help="documents at a time, at most (default: what fits)")
    add("--engine", choices=("local", "ray"), default="local", help="this process, or a Ray cluster (default: local)")
    add("--address", metavar="ADDRESS", help="of a running Ray cluster, such as auto (default: start one here)")
    add(
        "--workers", type=whole_number(1), metavar="N", help="Ray: processes with the model (default: by GPUs or cores)"
    )
    add("--gpus-per-worker", type=positive(), metavar="N", help="Ray: GPUs of each (default: none)")
    add("--glob", metavar="PATTERN", help="of folders, take only files that fit, such as *.pdf")
    add("--text-column", metavar="NAME", help="of tables, the column of the documents (default: a usual name)")
    add("--id-column", metavar="NAME", help="of tables, the column of their names (default: id, else numbers)")


def is_job(options: argparse.Namespace) -> bool:
    """Tell whether a command line is about more than single files on standard output."""
    return any(getattr(options, n) for n in _JOB_OPTIONS) or options.engine != "local" or is_several(options.files)
