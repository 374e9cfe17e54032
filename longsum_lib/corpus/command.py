"""``longsum corpus``: print or write documents of the synthetic corpus."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from longsum_lib.arguments import whole_number
from longsum_lib.corpus.documents import LONGEST, SHORTEST, make_document
from longsum_lib.corpus.records import Document
from longsum_lib.corpus.world import DATA, SPLITS
from longsum_lib.outputs import check_file, replacing

# Lengths of the bundled documents, by seed: chosen beforehand, whatever the models make of them.
BUNDLED_LENGTHS = (4096, 8192, 12_000)


def add_corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``longsum corpus``."""
    add = parser.add_argument
    add("--seed", type=whole_number(0), default=0, metavar="N", help="seed of the first document (default: 0)")
    add("--count", type=whole_number(1), default=1, metavar="N", help="documents (default: 1)")
    add(
        "--length",
        type=whole_number(SHORTEST, LONGEST),
        default=4096,
        metavar="N",
        help=f"tokens of each document, {SHORTEST} to {LONGEST:,} (default: 4096)",
    )
    add("--split", default="test", choices=SPLITS, help="names and numbers to use (default: test)")
    add(
        "--output",
        type=Path,
        default=None,
        metavar="FILE",
        help="write one JSON object a line to this file, with summary and key facts (default: print the texts)",
    )


def run_corpus(args: argparse.Namespace) -> int:
    """Run ``longsum corpus``."""
    documents = (make_document(args.seed + i, args.length, args.split) for i in range(args.count))
    if args.output is None:
        for index, document in enumerate(documents):
            sys.stdout.write("\n" * bool(index) + document.text)
        return 0
    with replacing(check_file(args.output, "--output")) as file:
        for document in documents:
            file.write(json.dumps(document.to_dict(), ensure_ascii=False) + "\n")
    return 0


def _file_name(document: Document) -> str:
    return f"{document.name.lower()}-survey.txt"


def write_bundled_documents(folder: str | Path = DATA / "documents") -> None:
    """Write the bundled documents and ``index.json`` (file, summary, facts) beside them.

    They are documents 0, 1 and 2 of the test split, as they come.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for seed, length in enumerate(BUNDLED_LENGTHS):
        document = make_document(seed, length, "test")
        (folder / _file_name(document)).write_text(document.text, encoding="utf-8")
        entry = document.to_dict()
        del entry["text"]
        entries.append({"file": _file_name(document)} | entry)
    (folder / "index.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def bundled_documents() -> list[dict]:
    """The entries of ``index.json``: file, summary, facts and distractors of each bundled document.

    Example:
        >>> sorted(bundled_documents()[0])[:3]
        ['alias', 'distractors', 'facts']
    """
    return json.loads((DATA / "documents" / "index.json").read_text(encoding="utf-8"))
