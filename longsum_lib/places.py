"""Where results go: checked before long work begins, and never left half-written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import TextIO, TypeVar

from longsum_lib.errors import LongsumError, OptionError

UNREADABLE = "backslashreplace"
"""How letters are written that UTF-8 does not have: bytes of a file's name that belong to another encoding."""


def check_file(
    path: str | os.PathLike[str], option: str, *, ours: Callable[[str], bool] | None = None, force: bool = False
) -> Path:
    """Check that a file can be written, and make the folder that it goes to.

    Args:
        path: The file.
        option: The option that names it, for the message.
        ours: Tells by the beginning of a file that is there whether this library has written it, and may replace it;
            None replaces whatever is there.
        force: Replace it whatever it is.

    Returns:
        The path.

    Raises:
        OptionError: It is a folder, its folder cannot be made or written to, or it is there and somebody else's.
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
    if ours is not None and not force and path.is_file() and path.stat().st_size and not ours(_beginning(path)):
        raise OptionError(
            f"{option} is {path}, which exists and was not written by this command; choose another name, or give "
            "--force to replace it"
        )
    return path


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 16).decode("utf-8", "replace")


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
        with path.open("w", encoding="utf-8", errors=UNREADABLE) as file:
            yield file
        return
    path = path.resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors=UNREADABLE) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_full_disk(place: str | os.PathLike[str], way: str) -> Iterator[None]:
    """Say which place is full, and what to do, whatever library met it and however it says so.

    Args:
        place: Where something is written.
        way: What to do, such as ``"--resume goes on once there is room"``.

    Raises:
        OSError: There is no room; with the place's name, unless a file in it was named by the same way already.
    """
    try:
        yield
    except Exception as error:
        reason = no_room(error)
        if reason is None or (isinstance(error, OSError) and error.strerror and "--resume" in error.strerror):
            raise
        raise OSError(errno.ENOSPC, f"{reason}; {way}", os.fspath(place)) from error


def append_whole(file: FileIO, data: bytes) -> None:
    """Write at the end of a file, all of it or nothing; it is on disk when this returns.

    Args:
        file: Opened for appending, without a buffer: what could not be written shall not come later, behind something
            else.
        data: What is written.

    Raises:
        OSError: There is no room. Nothing of it is left, so that a later line is glued to no half one.
    """
    before, left = file.seek(0, os.SEEK_END), memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(before)
        raise


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What torch.save says where a file cannot grow, by the place in the file at which that is.
_TORCH_SAYS = ("PytorchStreamWriter failed writing", "basic_ios::clear: iostream error", "unexpected pos ")


def no_room(error: Exception) -> str | None:
    """Return what an error, whichever library's, says about room on the disk; None if it is about something else."""
    if isinstance(error, LongsumError):
        return None
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return os.strerror(error.errno)
    signs = [os.strerror(number) for number in _NO_ROOM]
    found = next((sign for sign in signs if sign in str(error)), None)
    if found is None and isinstance(error, RuntimeError) and any(sign in str(error) for sign in _TORCH_SAYS):
        return signs[0]
    return found


class Lock:
    """Keeps other processes of this user and machine from writing the same file or folder.

    The lock is the system's: it is gone when the process ends in whatever way. It lies in the user's cache folder, with
    the number of the process that holds it beside it while it does, and leaves nothing beside the file or folder.
    Within one process it may be taken several times.

    Args:
        path: The file or folder.

    Raises:
        OptionError: Another process holds it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from filelock import FileLock, Timeout

        path = Path(path).resolve()
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        folder = _lock_folder()
        self._owner = folder / f"{name}.owner"
        # Never removed: a process that has opened a removed lock would hold another one than the next process.
        self._lock = FileLock(folder / f"{name}.lock", timeout=0, is_singleton=True)
        try:
            self._lock.acquire()
        except Timeout:
            holder = known_soon(self._holder)
            number = "" if holder is None else f" (number {holder})"
            raise OptionError(
                f"{path} is being written by another process{number}; wait for it, or choose another place"
            ) from None
        with contextlib.suppress(OSError):  # says who it is; the lock itself holds without it
            self._owner.write_text(str(os.getpid()), encoding="utf-8")

    def _holder(self) -> int | None:
        try:
            number = int(self._owner.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return number if is_running(number) else None

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others write."""
        if self._lock.is_locked:  # else it may be another's by now
            with contextlib.suppress(OSError):
                self._owner.unlink(missing_ok=True)
        self._lock.release(force=True)


def is_running(number: int) -> bool:
    """Return whether a process of this machine may be running; on Windows, where asking would end it, always true."""
    if os.name == "nt":
        return True
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return number > 0


_Known = TypeVar("_Known")


def known_soon(ask: Callable[[], _Known | None], seconds: float = 0.5) -> _Known | None:
    """Ask until there is an answer: who has taken a lock says so a moment later, and a killed one has said it before.

    Args:
        ask: Returns the answer, None while there is none.
        seconds: How long to ask.

    Returns:
        The answer, None if there was none in that time.
    """
    end = time.monotonic() + seconds
    while (answer := ask()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return answer


def _lock_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for folder in (Path(home, "longsum"), Path(tempfile.gettempdir(), f"longsum-{getattr(os, 'getuid', int)()}")):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OptionError("there is no folder for locks: neither the user's cache nor that for temporary files is writable")


@contextlib.contextmanager
def work_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a hidden folder beside one that is to be written, and remove it again.

    What killed runs have left beside the same target is removed too; the target is locked meanwhile.

    Args:
        target: The folder that is to be written.

    Yields:
        The work folder.

    Raises:
        OptionError: Another process is writing the target.
    """
    target = Path(target).resolve()
    with Lock(target):
        for left in target.parent.glob(f".{target.name}.????????"):
            if left.is_dir() and {path.name for path in left.iterdir()} <= {"whole"}:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as parts:
            yield Path(parts)
