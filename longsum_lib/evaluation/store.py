"""Summaries on disk as soon as they are written, so that an interrupted evaluation can go on.

The file is JSON lines: first the settings of the run, then one object for each summary.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from longsum_lib.errors import Option, OptionError


class SummaryStore:
    """Summaries of one run, by report and number of the document.

    Nothing is written before the first summary, so that a run that fails early leaves nothing that stands in the way.

    Args:
        path: The file; None keeps everything in memory.
        settings: What the summaries depend on: the model, the data, the options. Ready for JSON.
        resume: Go on with the summaries in the file. Without it a file that is there is an error, not overwritten.

    Raises:
        OptionError: The file belongs to a run with other settings, holds something else, or is there and ``resume`` is
            not set.
    """

    def __init__(self, path: str | Path | None, settings: dict[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path) if path else None
        self._records: dict[tuple[str, int], dict[str, Any]] = {}
        self._settings = json.loads(json.dumps(settings))
        self._begun = False
        if self.path is None:
            return
        if self.path.exists() and self.path.stat().st_size:
            self._read(self.path, resume)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, report: str, index: int, text: str) -> dict[str, Any] | None:
        """The record of a document, or None if it has none yet.

        Raises:
            OptionError: The record is of another text: the data has changed since.
        """
        record = self._records.get((report, index))
        if record is not None and record["document"] != fingerprint(text):
            raise OptionError(
                f"{self.path}: document {index + 1} of {report} has changed since it was summarized; start again"
            )
        return record

    def add(self, report: str, index: int, text: str, record: dict[str, Any]) -> None:
        """Keep a record; it is on disk when this returns."""
        record = {"report": report, "index": index, "document": fingerprint(text), **record}
        self._records[report, index] = record
        if self.path is None:
            return
        if not self._begun:
            _append(self.path, {"settings": self._settings})
            self._begun = True
        _append(self.path, record)

    def _read(self, path: Path, resume: bool) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            if not data.startswith(b'{"settings"'):
                raise ValueError("another file")
            found, *lines = [json.loads(line) for line in whole.splitlines()] or [{"settings": {}}]
            settings = dict(found["settings"])
            records = {(record["report"], record["index"]): record for record in lines}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise OptionError(f"{path} holds no summaries of an evaluation; choose another file") from error
        if records:
            self._go_on(settings, len(records), resume)
        self._records, self._begun = records, bool(records)
        with path.open("r+b") as file:  # the last line may have been cut off while it was written
            file.truncate(len(whole) if records else 0)

    def _go_on(self, found: dict[str, Any], count: int, resume: bool) -> None:
        """Refuse to go on with summaries that are not meant, or were made with other settings."""
        if not resume:
            raise OptionError(
                f"{self.path} holds summaries of an earlier run ({count}); ",
                Option("resume", True),
                " goes on with them, or choose another file",
            )
        mine = self._settings
        different = sorted(key for key in mine.keys() | found.keys() if mine.get(key) != found.get(key))
        if different:
            key = different[0]
            raise OptionError(
                f"{self.path} is of a run with another {key} ({found.get(key)!r}, now {mine.get(key)!r}); "
                "use the same settings, or another file"
            )


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def fingerprint(text: str) -> str:
    """A short name for a text, the same on every machine.

    Example:
        >>> fingerprint("a")
        'ca978112ca1bbdca'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]
