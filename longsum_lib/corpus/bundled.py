"""The documents that come with the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from longsum_lib.corpus.documents import make_document
from longsum_lib.corpus.records import Document
from longsum_lib.corpus.world import DATA

# Lengths of the bundled documents, by seed: chosen beforehand, whatever the models make of them.
BUNDLED_LENGTHS = (4096, 8192, 12_000)


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


def bundled_documents() -> list[dict[str, Any]]:
    """The entries of ``index.json``: file, summary, facts and distractors of each bundled document.

    Example:
        >>> sorted(bundled_documents()[0])[:3]
        ['alias', 'distractors', 'facts']
    """
    entries: list[dict[str, Any]] = json.loads((DATA / "documents" / "index.json").read_text(encoding="utf-8"))
    return entries
