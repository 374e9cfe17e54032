"""The cells at the top of every notebook, generated from `_config.yml` and the notebook's own metadata.

The repository's address stands in `_config.yml` only. The badge, the download link and the setup cell are made
from it here, and `tests/test_notebook_rules.py` holds every committed notebook equal to what this module makes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]

KINDS = ("cpu", "gpu")
PLACEHOLDER_OWNER = "longsum"
"""Whose address stands in `_config.yml` until the project has one of its own: nothing leads there."""
HEAD_IDS = ("cost", "setup")
# Python packages that `longsum_lib` needs and that Colab does not always carry.
ALWAYS_NEEDED = ("lazy_loader", "sentencepiece")

SETUP_TEMPLATE = """\
# Setup, the same in every notebook: find longsum_lib in this clone. Anywhere else
# (Colab), install it, and leave the torch, transformers, numpy and ipywidgets that are
# there alone. LONGSUM_SOURCE names another source: a wheel, a folder or an address for pip.
import importlib.util
import os
import pathlib
import subprocess
import sys

parents = pathlib.Path.cwd().parents
clones = [p for p in parents if (p / "longsum_lib" / "__init__.py").is_file()]
if clones:
    sys.path.insert(0, str(clones[0]))
elif importlib.util.find_spec("longsum_lib") is None:
    wanted = {needs}
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    published = "longsum-lib @ git+{url}@{branch}"
    library = os.environ.get("LONGSUM_SOURCE", published)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
    subprocess.run([*command, library, *missing], check=True)
    importlib.invalidate_caches()"""


@dataclass(frozen=True)
class Repository:
    """Where the project lives, as `_config.yml` says it."""

    url: str
    branch: str

    @property
    def published(self) -> bool:
        """Whether the address is one that links may lead to."""
        return not is_placeholder(self.url)

    @property
    def slug(self) -> str:
        """`owner/name`, the last two parts of the address."""
        return "/".join(self.url.rstrip("/").split("/")[-2:])

    def colab(self, path: str) -> str:
        """Address that opens the notebook at `path` (from the repository's root) on Colab."""
        return f"https://colab.research.google.com/github/{self.slug}/blob/{self.branch}/{path}"

    def raw(self, path: str) -> str:
        """Address that downloads the file at `path` (from the repository's root)."""
        return f"{self.url.rstrip('/')}/raw/{self.branch}/{path}"


def is_placeholder(url: str) -> bool:
    """Whether an address is the one that stands in the configuration before the project is published."""
    return url.rstrip("/").split("/")[-2:-1] == [PLACEHOLDER_OWNER]


def read_repository(config: Path = ROOT / "_config.yml") -> Repository:
    """Read the repository's address and branch from the book's configuration."""
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))["repository"]
    return Repository(url=settings["url"].rstrip("/"), branch=settings["branch"])


def notebook_settings(metadata: dict) -> dict:
    """Return the `longsum` block of a notebook's metadata with its defaults filled in.

    Args:
        metadata: The notebook's metadata, a dictionary.

    Returns:
        A dictionary with `kind` ("cpu" or "gpu"), `minutes`, `memory`, `download` and `needs`.

    Raises:
        ValueError: If the kind is neither of the two.
    """
    settings = {"kind": "cpu", "minutes": 1, "memory": "1 GB", "download": "nothing", "needs": []}
    settings.update(metadata.get("longsum", {}))
    if settings["kind"] not in KINDS:
        raise ValueError(f"notebook kind is {settings['kind']!r}, expected one of {KINDS}")
    return settings


def cost_cell(repository: Repository, path: str, settings: dict) -> str:
    """Text of the badge and cost line (Markdown) of the notebook at `path`."""
    badge = os.path.relpath("book/figures/colab-badge.svg", Path(path).parent).replace(os.sep, "/")
    devices = {
        "cpu": "a CPU is enough",
        "gpu": "published checkpoints on a GPU, the bundled tiny models without one",
    }
    minutes = settings["minutes"]
    time = f"about {minutes} minute{'' if minutes == 1 else 's'}"
    line = (
        f"**Runs on:** {devices[settings['kind']]} · **time:** {time} · **memory:** {settings['memory']} · "
        f"**downloads:** {settings['download']}"
    )
    if not repository.published:
        return line
    return (
        f"[![Open in Colab]({badge})]({repository.colab(path)})\n\n"
        f"{line} · [get the notebook file]({repository.raw(path)})"
    )


def setup_cell(repository: Repository, settings: dict) -> str:
    """Source of the setup cell."""
    needs = [*ALWAYS_NEEDED, *settings["needs"]]
    listed = "[" + ", ".join(f'"{name}"' for name in needs) + "]"
    return SETUP_TEMPLATE.format(url=repository.url, branch=repository.branch, needs=listed)
