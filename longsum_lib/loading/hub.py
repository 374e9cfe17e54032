"""Getting a checkpoint from the hub, with one clear error for each way in which that can fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypedDict

from longsum_lib.errors import CheckpointError, CorruptCheckpoint, ModelNotFound, NoNetwork, OptionError

_SUFFIXES = (".json", ".model", ".txt")
_ASK_SECONDS = 10.0


class HubOptions(TypedDict, total=False):
    """Where a checkpoint on the hub comes from, as :func:`download` takes it."""

    revision: str | None
    cache_dir: str | os.PathLike[str] | None
    token: str | bool | None
    local_files_only: bool


class _Places(TypedDict):
    revision: str | None
    cache_dir: Path | None
    token: str | bool | None


def download(
    name: str,
    *,
    weights: bool = True,
    hint: str = "",
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """Bring a model's files from the hub into its cache, or find them there.

    Only configuration, tokenizer and weights are fetched, never code. Without a network the cache alone is
    used; that is decided by one quick question to the hub, since a download would retry for half a minute.

    Args:
        name: The model's name on the hub, ``owner/name``.
        weights: Whether to fetch the weights: safetensors if there are any, else PyTorch's ``.bin``.
        hint: Close names, for the message when there is no such model.
        revision: A branch, tag or commit; None is the main branch.
        cache_dir: The cache's folder; None is the hub's default.
        token: A token for private models; None uses the one that is logged in, if any.
        local_files_only: Never ask the hub.

    Returns:
        The folder with the files.

    Raises:
        ModelNotFound: The hub has no such model or revision, or does not show it to you.
        NoNetwork: The hub cannot be reached and the cache does not hold the model.
        CorruptCheckpoint: The model has no weights in a format that can be read.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    folder = None if cache_dir is None else Path(cache_dir)
    places = _Places(revision=revision, cache_dir=folder, token=token)
    try:
        if local_files_only:
            return _from_cache(name, places, reason="local_files_only is set")
        info = HfApi().model_info(name, revision=revision, token=token, timeout=_ASK_SECONDS)
        files = _wanted_files([sibling.rfilename for sibling in info.siblings or []], name, weights)
        return Path(snapshot_download(name, allow_patterns=files, **places))
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{name} is only given to those who accepted its terms; accept them on its page, then log in"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{name} has no revision {revision!r} on the hub") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(f"there is no folder {name}, and the hub has no public model of that name{hint}") from error
    except HFValidationError as error:
        raise OptionError(f"{name!r} is neither a folder nor a valid name on the hub") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
        ):
            raise CheckpointError(f"{name} cannot be stored in the hub's cache: {error}") from error
        if not _is_network_error(error):
            raise
        return _from_cache(name, places, reason=_first_line(error), cause=error)


def _wanted_files(names: list[str], name: str, weights: bool) -> list[str]:
    """Choose the files in the repository's root that are needed, safetensors first."""
    root = [file for file in names if "/" not in file]
    wanted = [file for file in root if file.endswith(_SUFFIXES) and not file.endswith(".index.json")]
    if not weights:
        return wanted
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        whole = [file for file in root if file == stem + suffix]
        shards = [file for file in root if file.startswith(f"{stem}-") and file.endswith(suffix)]
        index = [file for file in root if file == f"{stem}{suffix}.index.json"]
        if whole:
            return wanted + whole
        if shards and index:
            return wanted + index + shards
    raise CorruptCheckpoint(f"{name} has no weights for PyTorch on the hub (no model.safetensors)")


def _from_cache(name: str, places: _Places, reason: str, cause: Exception | None = None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True, **places))
    except OSError:
        raise NoNetwork(
            f"there is no folder {name}, and the hub cannot be asked for it ({reason}); "
            "connect to the internet once, or give a bundled model or a checkpoint's folder"
        ) from cause


def _is_network_error(error: Exception) -> bool:
    """Tell whether an error of the hub's client means that it could not be reached or broke off."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "HfHubHTTPError", "ConnectionError", "Timeout", "OSError"})


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
