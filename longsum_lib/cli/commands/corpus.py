"""``longsum corpus``: print or write documents of the synthetic corpus."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from longsum_lib.cli.numbers import whole_number
from longsum_lib.corpus.documents import LONGEST, SHORTEST, make_document
from longsum_lib.corpus.world import SPLITS
from longsum_lib.places import check_file, replacing


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``longsum corpus``."""
    argument = parser.add_argument
    argument("--seed", type=whole_number(0), default=0, metavar="N", help="seed of the first document (default: 0)")
    argument("--count", type=whole_number(1), default=1, metavar="N", help="documents (default: 1)")
    argument(
        "--length",
        type=whole_number(SHORTEST, LONGEST),
        default=4096,
        metavar="N",
        help=f"tokens of each document, {SHORTEST} to {LONGEST:,} (default: 4096)",
    )
    argument("--split", default="test", choices=SPLITS, help="names and numbers to use (default: test)")
    argument(
        "--output",
        type=Path,
        default=None,
        metavar="FILE",
        help="write one JSON object a line to this file, with summary and key facts (default: print the texts)",
    )

    argument("--force", action="store_true", help="replace a file of --output that holds something else")


def _is_corpus(text: str) -> bool:
    """Whether a file begins with a document as this command writes it."""
    return text.startswith('{"text": "Report of the ')


def run(args: argparse.Namespace) -> int:
    """Run ``longsum corpus``."""
    documents = (make_document(args.seed + i, args.length, args.split) for i in range(args.count))
    if args.output is None:
        for index, document in enumerate(documents):
            sys.stdout.write("\n" * bool(index) + document.text)
        return 0
    with replacing(check_file(args.output, "--output", ours=_is_corpus, force=args.force)) as file:
        for document in documents:
            file.write(json.dumps(document.to_dict(), ensure_ascii=False) + "\n")
    return 0
