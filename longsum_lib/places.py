"""Where results go: checked before long work begins, and never left half-written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from longsum_lib.errors import OptionError


def check_file(path: str | os.PathLike[str], option: str) -> Path:
    """Check that a file can be written, and make the folder that it goes to.

    Args:
        path: The file; one that is there may be replaced.
        option: The option that names it, for the message.

    Returns:
        The path.

    Raises:
        OptionError: It is a folder, or its folder cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise OptionError(f"{option} is {path}, a folder; expected the name of a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{option} is {path}, but its folder cannot be made: {error.strerror}") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OptionError(f"{option} is {path}, which may not be written (permission denied); choose another place")
    return path


def check_folder(path: str | os.PathLike[str], option: str) -> Path:
    """Check that a folder is there or can be made; nothing is made yet.

    Args:
        path: The folder.
        option: The option that names it, for the message.

    Returns:
        The path.

    Raises:
        OptionError: It is a file, or lies in one, or may not be written to.
    """
    path = Path(path)
    there = next((place for place in (path, *path.absolute().parents) if os.path.lexists(place)), path)
    if not there.is_dir():
        raise OptionError(f"{option} is {path}, but {there} is not a folder; choose another name")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(f"{option} is {path}, but {there} may not be written to (permission denied)")
    return path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file for writing that takes its name only when it is whole.

    An interruption or a full disk leaves the earlier file of that name as it was. What is no ordinary file, such as
    ``/dev/stdout``, is written to directly.

    Args:
        path: The file to write, in UTF-8.

    Yields:
        The open file.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    path = path.resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
