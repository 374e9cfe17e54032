"""Where a job's documents come from: files, folders, wildcards, tables, standard input, or pairs of a caller.

Documents are found one after the other and read when their turn comes, so that a million of them take the memory of
one. Each has an ``id``: its path below the folder, what a table's column of ids says, or the file and the row.
"""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import glob as wildcards
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO

from longsum_lib.errors import DocumentError, LongsumError, OptionError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.jobs.tables import TABLE_KINDS, Table, TableRow

Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[tuple[str, str | DocumentText]]
"""What a job may be given: a path, several paths, or pairs of an id and a text."""

OWN_FILES = (".summary.txt", "run.json", ".journal")
"""What a job writes into a folder, and therefore never reads from one."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How documents are found and read.

    Args:
        glob: Of folders, take only files whose path or name fits, such as ``"*.pdf"`` or ``"2024/*/report.txt"``.
        text_column: The column of tables that holds the documents; None looks for a usual name.
        id_column: The column that holds their names; None looks for a usual name.
        encoding: How texts are encoded; None is UTF-8, and for HTML what the page says.
        speakers: For subtitles: keep the speakers' names.
        times: For subtitles: keep the times.
        leave_out: A folder that is not looked into: the job's own, where it lies inside a source.
    """

    glob: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    encoding: str | None = None
    speakers: bool = False
    times: bool = False
    leave_out: str | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """A document that is still to be read.

    Attributes:
        id: Its name in the results; no other document of the job has it.
        path: The file that it is, or is a row of; "-" for standard input and "" for a caller's text.
        row: Of a table, the row that it is.
        text: What a caller gave.
        error: Why it cannot be read, where that is known already.
    """

    id: str
    path: str = ""
    row: TableRow | None = None
    text: str | DocumentText | None = None
    error: str = ""

    def without_text(self) -> Item:
        """The same document as a reference, which takes no room: it can be read again from its file."""
        if self.row is None or self.path == "-":
            return self
        return dataclasses.replace(self, row=dataclasses.replace(self.row, text=None))

    def read(self, reading: Reading) -> DocumentText:
        """Read the document.

        Raises:
            DocumentError: It cannot be read; see ``longsum_lib.read_document``.
            MissingExtra: Its kind needs a package that is not installed.
        """
        if self.error:
            raise DocumentError(self.error)
        if self.text is not None:
            from longsum_lib.generation.summarize import check_document

            whole = self.text if isinstance(self.text, DocumentText) else DocumentText.from_text(self.text, self.id)
            check_document(whole.text, self.id)
            return whole
        if self.row is not None and self.row.text is not None:
            return DocumentText.from_text(self.row.text, self.id)
        from longsum_lib.generation.documents import read_document

        return read_document(self.path, reading.encoding, speakers=reading.speakers, times=reading.times)


def find_items(source: Given, reading: Reading) -> Iterator[Item]:
    """Find a job's documents, in a fixed order: as given, a folder's by name.

    Args:
        source: Paths of files, folders, tables, wildcards, or ``-``; or pairs of an id and a text.
        reading: How they are found and read.

    Yields:
        The documents; of two with the same id, the second gets ``" (2)"`` behind it.

    Raises:
        DocumentError: Something that was named is not there, or is nothing that can be read.
        OptionError: A table has no such column.

    Example:
        >>> [item.id for item in find_items([("a", "One text."), ("a", "Another.")], Reading())]
        ['a', 'a (2)']
    """
    seen: set[str] = set()
    for item in _all_items(source, reading):
        name, times = item.id, 1
        while name in seen:
            times += 1
            name = f"{item.id} ({times})"
        seen.add(name)
        yield item if times == 1 else dataclasses.replace(item, id=name)


def read_again(items: Sequence[Item], reading: Reading) -> Iterator[Item]:
    """Give references of :meth:`Item.without_text` their texts back; rows that follow each other are read in one go."""
    rows: Iterator[TableRow] = iter(())
    path, number = None, 0
    for item in items:
        if item.row is None or item.row.error or item.row.text is not None:
            yield item
            continue
        if item.path != path or item.row.number < number:
            path, rows = item.path, _table(item.path, reading).rows(item.row)
        row = next((row for row in rows if row.number == item.row.number), None)
        number = item.row.number + 1
        gone = "" if row is not None else f"{item.path}, row {item.row.number:,} is no longer there"
        yield dataclasses.replace(item, row=row, error=gone)


def is_several(paths: Sequence[str]) -> bool:
    """Tell whether paths of a command line name more than single files: a folder, a table, a wildcard."""
    return any(Path(p).is_dir() or Path(p).suffix.lower() in TABLE_KINDS or _is_wildcard(p) for p in paths)


def _all_items(source: Given, reading: Reading) -> Iterator[Item]:
    if isinstance(source, str | os.PathLike):
        source = [source]
    if isinstance(source, Sequence) and all(isinstance(one, str | os.PathLike) for one in source):
        yield from _from_paths([os.fspath(path) for path in source], reading)
        return
    if not isinstance(source, Iterable):
        raise DocumentError(f"source is of type {type(source).__name__}; expected a path, paths, or pairs (id, text)")
    for number, pair in enumerate(source, 1):
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DocumentError(f"entry {number:,} is of type {type(pair).__name__}; expected a pair (id, text)")
        name, text = pair
        wrong = "" if isinstance(text, str | DocumentText) else f"is of type {type(text).__name__}, expected a text"
        yield Item(name, text=None if wrong else text, error=wrong)


def _from_paths(paths: list[str], reading: Reading) -> Iterator[Item]:
    if not paths:
        raise DocumentError("there is nothing to summarize; give a file, a folder, or - for standard input")
    names = _ids_of(paths)
    for given in paths:
        if _is_wildcard(given):
            found = sorted(wildcards.glob(given, recursive=True))
            if not found:
                yield Item(given, given, error=f"no file fits {given}")
            inner = _ids_of(found)
            for path in found:
                yield from _from_path(path, inner[path], len(paths) > 1, reading)
        else:
            yield from _from_path(given, names[given], len(paths) > 1, reading)


def _from_path(path: str, name: str, several: bool, reading: Reading) -> Iterator[Item]:
    if path == "-" and reading.text_column is None:
        yield Item("standard input", "-")
    elif path == "-":
        yield from _standard_input(reading)
    elif Path(path).expanduser().is_dir():
        folder = Path(path).expanduser()
        for file in _files_below(folder, reading):
            if isinstance(file, str):
                yield Item(name, path, error=file)
                continue
            below = file.relative_to(folder).as_posix()
            yield from _from_file(str(file), f"{name}/{below}" if several else below, reading, named=False)
    else:
        yield from _from_file(path, name, reading, named=True)


def _from_file(path: str, name: str, reading: Reading, *, named: bool) -> Iterator[Item]:
    """Take a file as a document, or a table's rows.

    A table that was named must have the columns; of one in a folder it is an error of its own that it has not.
    """
    if Path(path).suffix.lower() not in TABLE_KINDS:
        yield Item(name, path)
        return
    try:
        yield from _rows(path, name, _table(path, reading).rows(), named)
    except LongsumError as error:
        if named and not isinstance(error, DocumentError):
            raise
        yield Item(name, path, error=str(error))


def _rows(path: str, name: str, rows: Iterable[TableRow], alone: bool) -> Iterator[Item]:
    for row in rows:
        own = row.id if row.id and alone else f"{name}#{row.id or row.number}"
        yield Item(own, path, row, error=row.error and f"{path}, row {row.number:,} {row.error}")


def _table(path: str, reading: Reading) -> Table:
    return Table(path, reading.text_column, reading.id_column, reading.encoding)


def _standard_input(reading: Reading) -> Iterator[Item]:
    if sys.stdin is None or sys.stdin.closed:
        raise DocumentError("standard input is closed; give a file")
    lines: BinaryIO = sys.stdin.buffer
    table = Table("-", reading.text_column, reading.id_column, reading.encoding, "standard input")
    yield from _rows("-", "standard input", table.stream_rows(lines), True)


def _files_below(folder: Path, reading: Reading) -> Iterator[Path | str]:
    """Yield the files below a folder by name, depth first, or what is wrong with it.

    Hidden files and what a job writes are left out.
    """
    fits = _fitting(folder, reading.glob)
    left_out = Path(reading.leave_out).resolve() if reading.leave_out else None
    found = False
    for path in _walk(folder, left_out if left_out != folder.resolve() else None):
        if isinstance(path, str) or (not path.name.endswith(OWN_FILES) and fits(path)):
            found = True
            yield path
    if not found:
        what = f"no file that fits {reading.glob}" if reading.glob else "no file"
        yield f"{folder} has {what}"


def _walk(folder: Path, left_out: Path | None) -> Iterator[Path | str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield f"{folder} cannot be read: {error.strerror}"
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        if left_out is not None and path.resolve() == left_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, left_out)
        else:  # a link to a folder may lead round in circles: it is an entry that cannot be read
            yield path


def _fitting(folder: Path, pattern: str | None) -> Callable[[Path], bool]:
    if pattern is None:
        return lambda path: True
    if not pattern or PurePath(pattern).is_absolute():
        raise OptionError(f"glob is {pattern!r}; expected a pattern of names below the folder, such as *.pdf")

    def fits(path: Path) -> bool:
        below = path.relative_to(folder).as_posix() if "/" in pattern else path.name
        return fnmatch.fnmatch(below, pattern)

    return fits


def _is_wildcard(path: str) -> bool:
    """Tell a wildcard that no shell has expanded from a file with such a name."""
    return path != "-" and wildcards.has_magic(path) and not os.path.lexists(path)


def _ids_of(paths: Sequence[str]) -> dict[str, str]:
    """Name files by their names, and where two have the same by their paths."""
    short = {path: PurePath(path).name or "folder" for path in paths}
    times = collections.Counter(short.values())
    return {path: name if times[name] == 1 else _cleaned(path) for path, name in short.items()}


def _cleaned(path: str) -> str:
    """Return a path that leads out of no folder."""
    parts = [part for part in PurePath(path).parts if part not in ("..", ".", PurePath(path).anchor)]
    return "/".join(parts)
