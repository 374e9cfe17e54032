"""What a job has done, on disk as soon as it is done: it can be killed at any time and goes on where it was.

The journal is JSON lines, written from front to back only. Each run adds a line that says who runs and how; each
document adds a row. A row's ``key`` stands for the document's content and the options: whatever has the same key has
the same summary, under whatever name. A line that was cut off while it was written is dropped.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from longsum_lib.errors import Option, OptionError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.places import UNREADABLE, append_whole, is_running, known_soon

Row = dict[str, Any]
"""What is known of a document: ``id``, ``key`` and the summary's fields, or ``id`` and ``error``."""

_FIRST = b'{"run": '  # how a journal begins, and nothing else does


class Journal:
    """The rows of a job. Only one process may have it open.

    Args:
        path: The file; its folder is made where it is missing.
        lock: The file by which processes keep out of each other's way.
        run: What is to be said about this run, ready for JSON.
        resume: Go on with the rows that are there. Without it a file that is there is an error, not overwritten.
        force: Throw away what is there.

    Raises:
        OptionError: Another process has it open, it holds something else, or it is there and neither ``resume`` nor
            ``force`` is set.

    Attributes:
        results: Hashes of files that were made from these rows.

    Cost:
        About 200 bytes of memory a row; reading a journal takes a second for some 100,000 rows.
    """

    def __init__(
        self, path: Path, lock: Path, run: Mapping[str, Any], *, resume: bool = False, force: bool = False
    ) -> None:
        self.path = path
        self._by_key: dict[str, int] = {}
        self._by_id: dict[str, int] = {}
        self.results: set[str] = set()
        self._lock = FileLock(lock)
        lock.parent.mkdir(parents=True, exist_ok=True)
        self._take()
        try:
            self._refuse_or_read(resume, force)
            self._file = path.open("ab" if resume and not force else "wb", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._end = self._file.seek(0, os.SEEK_END)
            self._append({"run": {**_here(), **run}})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Return how many documents there are summaries of."""
        return len(self._by_key)

    def close(self) -> None:
        """Let other processes have it."""
        self._file.close()
        self._lock.release()

    def keys(self) -> frozenset[str]:
        """Return the keys that there are summaries of."""
        return frozenset(self._by_key)

    def find(self, key: str) -> int | None:
        """Return where the newest row with a key is; None if there is none."""
        return self._by_key.get(key)

    def find_id(self, name: str) -> int | None:
        """Return where the newest row of a document is; None if there is none."""
        return self._by_id.get(name)

    def add(self, row: Row) -> int:
        """Keep a row; it is on disk when this returns.

        Returns:
            Where it is, for ``read``.
        """
        place = self._append(row)
        self._remember(row, place)
        return place

    def own(self, digest: str) -> None:
        """Keep the hash of a file that was made from the rows, or may be replaced by one."""
        if digest not in self.results:
            self._append({"result": digest})
            self.results.add(digest)

    def read(self, place: int) -> Row:
        """Return the row at a place."""
        with self.path.open("rb") as file:
            file.seek(place)
            row: Row = json.loads(file.readline())
        return row

    def read_all(self, places: Iterator[int]) -> Iterator[Row]:
        """Return the rows at several places, one after the other."""
        with self.path.open("rb") as file:
            for place in places:
                file.seek(place)
                yield json.loads(file.readline())

    def _append(self, entry: Mapping[str, Any]) -> int:
        # Bytes of a file's name that are no UTF-8 are lone surrogates in Python, and escapes in JSON.
        place, line = self._end, json.dumps(entry, ensure_ascii=False).encode("utf-8", UNREADABLE) + b"\n"
        append_whole(self._file, line)
        self._end += len(line)
        return place

    def _remember(self, row: Row, place: int) -> None:
        if "error" not in row:
            self._by_key[row["key"]] = place
        self._by_id[row["id"]] = place

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = known_soon(lambda: _running(last_run(self.path)))
            who = f"process {holder['process']} on {holder['machine']}" if holder else "another process"
            since = f", since {holder['started']}" if holder else ""
            raise OptionError(f"{self.path} is in use by {who}{since}; wait for it, or choose another place") from None

    def _refuse_or_read(self, resume: bool, force: bool) -> None:
        if force or not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb") as file:
            beginning = file.read(len(_FIRST)).rstrip(b"\0")
            # A crash, a full disk or a loss of power may have left less than that, or zeros.
            begun = _FIRST.startswith(beginning) and (beginning == _FIRST or not file.read().strip(b"\0"))
        if not begun:
            raise OptionError(f"{self.path} is no journal of a job; choose another place")
        if not resume and beginning == _FIRST:
            raise OptionError(
                f"{self.path} is of an earlier run; ",
                Option("resume", True),
                " goes on with it, ",
                Option("force", True),
                " starts again, or choose another place",
            )
        self._read()

    def _read(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it was cut off while it was written
                row = _parsed(line)
                if "id" in row:
                    self._remember(row, whole)
                if "result" in row:
                    self.results.add(row["result"])
                whole += len(line)
        os.truncate(self.path, whole)


def last_run(path: Path) -> dict[str, Any] | None:
    """Return what the last run said about itself, None where no journal is."""
    found = None
    try:
        with path.open("rb") as file:
            for line in file:
                if line.startswith(_FIRST) and line.endswith(b"\n"):
                    found = _parsed(line).get("run")
    except OSError:
        return None
    return found if isinstance(found, dict) and {"process", "machine", "started"} <= found.keys() else None


def _running(run: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the run, None where it cannot be the one that has the journal: its process ended on this machine."""
    if run is None or run["machine"] != platform.node() or not isinstance(run["process"], int):
        return run
    return run if is_running(run["process"]) else None


def key_of(document: DocumentText, options: str) -> str:
    """Return what stands for a document's content under some options.

    Args:
        document: The document; its name does not count.
        options: What stands for the options.

    Example:
        >>> a, b = DocumentText("One text.", name="a"), DocumentText("One text.", name="b")
        >>> key_of(a, "led-tiny") == key_of(b, "led-tiny") != key_of(b, "extract")
        True
    """
    head = json.dumps([options, document.page_starts])
    return hashlib.sha256(head.encode() + b"\n" + document.text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _parsed(line: bytes) -> dict[str, Any]:
    """Read a line; one that a failing disk has harmed counts as nothing, so that its document is done again."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entry, dict) or ("id" in entry and not ("key" in entry or "error" in entry)):
        return {}
    return entry


def _here() -> dict[str, Any]:
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"process": os.getpid(), "machine": platform.node(), "started": started}
