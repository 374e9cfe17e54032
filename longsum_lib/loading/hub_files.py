"""Single files of the hub: fetched, gone on with after an interruption, and held against what the hub says of them.

The hub's client keeps whatever arrives: a body of the right length with other content stays in the cache for good, and
what an interrupted process has fetched is fetched again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from longsum_lib.errors import CorruptCheckpoint

SMALL = 10 * 2**20
"""Bytes up to which a file of the cache is read again to check it; larger ones are checked when they arrive."""

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Announced:
    """What the hub says of a file.

    Args:
        name: Its name.
        size: Its bytes; None if the hub does not say.
        sha256: Of its content, for large files.
        blob: Its git id, for the others: the SHA-1 of a header and the content.
    """

    name: str
    size: int | None = None
    sha256: str | None = None
    blob: str | None = None

    @classmethod
    def of(cls, sibling: Any) -> Announced:
        """Take it from the client's list of a repository's files."""
        large = sibling.lfs
        sha256 = large.get("sha256") if isinstance(large, dict) else getattr(large, "sha256", None)
        return cls(sibling.rfilename, sibling.size, sha256, None if large else sibling.blob_id)

    def fault(self, path: Path, thorough: bool) -> str:
        """Return what is wrong with a file on disk, or an empty text.

        Args:
            path: The file.
            thorough: Whether to read it; else its size alone is looked at.
        """
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes in place of {self.size:,}"
        if not thorough or not (self.sha256 or self.blob):
            return ""
        wanted = self.sha256 or self.blob
        found = hashlib.sha256() if self.sha256 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
        return "" if found.hexdigest() == wanted else f"another content than that of its {found.name}, {wanted}"


@dataclasses.dataclass(frozen=True)
class HubPlace:
    """A repository on the hub and where its files go.

    Args:
        name: ``owner/name``.
        revision: A branch, tag or commit; None is the main branch.
        cache_dir: The cache's folder; None is the hub's default.
        token: As for ``load``.
    """

    name: str
    revision: str | None = None
    cache_dir: Any = None
    token: str | bool | None = None

    @property
    def folder(self) -> Path:
        """The repository's folder in the cache."""
        from huggingface_hub import constants

        root = Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()
        return root / ("models--" + self.name.replace("/", "--"))

    def cached(self, file: str, commit: str | None = None) -> Path | None:
        """Return a file of the cache, None if it is not there."""
        from huggingface_hub import try_to_load_from_cache

        revision = commit or self.revision
        found = try_to_load_from_cache(self.name, file, cache_dir=self.cache_dir, revision=revision)
        return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def fetch(place: HubPlace, file: Announced, commit: str | None) -> Path:
    """Bring a file into the cache, or find it there; a wrong one is thrown away and fetched once more.

    Args:
        place: Its repository.
        file: What the hub says of it.
        commit: The commit that the revision stands for, as far as the hub has said it.

    Returns:
        Where it is.

    Raises:
        CorruptCheckpoint: The hub sends something else than it announces.
        OSError: Of the hub's client: it cannot be fetched.
    """
    there = place.cached(file.name, commit)
    if there is not None and place.cached(file.name) == there:
        if not file.fault(there, thorough=there.stat().st_size <= SMALL):
            return there
        _throw_away(there)
    fault = ""
    for attempt in range(2):
        path = _fetched(place, file, whole=attempt > 0)
        fault = file.fault(path, thorough=True)
        if not fault:
            return path
        _throw_away(path)
    raise CorruptCheckpoint(
        f"{place.name}: the hub sends {file.name} with {fault}; nothing of it is kept, try again later"
    )


def _throw_away(path: Path) -> None:
    """Remove a file of the cache, and the content that it links to."""
    for each in {path.resolve(), path}:
        each.unlink(missing_ok=True)


def _fetched(place: HubPlace, file: Announced, whole: bool) -> Path:
    from huggingface_hub import hf_hub_download

    if not whole and (file.size or 0) > SMALL:
        _go_on(place, file)
    options = {"revision": place.revision, "cache_dir": place.cache_dir, "token": place.token}
    return Path(hf_hub_download(place.name, file.name, force_download=whole, **options))


def _go_on(place: HubPlace, file: Announced) -> None:
    """Fetch a large file's content into the cache, from where an interrupted process has left it.

    Files that the hub keeps in its chunk store (Xet) are left to the client, which has such a memory there.
    """
    from filelock import FileLock, Timeout
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, in its docs

    url = hf_hub_url(place.name, file.name, revision=place.revision)
    found = get_hf_file_metadata(url, token=place.token)
    if getattr(found, "xet_file_data", None) is not None or not found.etag or not found.commit_hash:
        return
    blob = place.folder / "blobs" / found.etag
    part = blob.with_name(f"{found.etag}.part")
    if blob.exists():
        return
    blob.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Timeout), FileLock(part.with_name(part.name + ".lock"), timeout=0):
        headers = build_hf_headers(token=place.token)
        with part.open("ab", buffering=0) as stream:
            start = stream.tell()
            if file.size is not None and start > file.size:
                stream.truncate(start := 0)
            if start != file.size:
                http_get(found.location, stream, resume_size=start, headers=headers, expected_size=file.size)
        if file.fault(part, thorough=True):
            part.unlink()  # the client fetches it from its beginning
        else:
            part.replace(blob)
        part.with_name(part.name + ".lock").unlink(missing_ok=True)
