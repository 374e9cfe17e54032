"""Sphinx extension: the page `book/api/inside` lists every module that no other API page has.

So no module of the library is without its reference, and none has to be entered by hand.
"""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

API = Path(__file__).resolve().parents[1] / "api"
PAGE = "book/api/inside"
PLACE = "% the remaining modules stand here"
LISTED = re.compile(r"^\.\. automodule:: (\S+)", re.MULTILINE)
# They serve the command and the terminal; nobody imports them.
UNLISTED = {"longsum_lib.generation.reading", "longsum_lib.terminal"}


def public_modules() -> list[str]:
    """Names of all modules of the library that a reader may import, packages left out."""
    import longsum_lib

    found = pkgutil.walk_packages(longsum_lib.__path__, "longsum_lib.")
    return sorted(module.name for module in found if _listed(module))


def _listed(module: pkgutil.ModuleInfo) -> bool:
    served = module.name.startswith("longsum_lib.cli.") or module.name in UNLISTED
    return not (module.ispkg or served or "._" in module.name)


def listed_modules() -> list[str]:
    """Names of the modules that the API pages list by hand, in order."""
    return [name for page in sorted(API.glob("*.md")) for name in LISTED.findall(page.read_text(encoding="utf-8"))]


def remaining_modules() -> list[str]:
    """Names of the modules that no page lists."""
    listed = set(listed_modules())
    return [name for name in public_modules() if name not in listed]


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write a section for each remaining module into the page."""
    if docname != PAGE:
        return
    parts = []
    package = None
    for name in remaining_modules():
        parent, _, short = name.rpartition(".")
        if parent != package:
            package = parent
            parts.append(f"## `{parent}`\n")
        parts.append(f"### `{short}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n")
    source[0] = source[0].replace(PLACE, "\n".join(parts))


def read_again(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> list[str]:
    """Read the page in every build: it changes when the library does, not when its own file does."""
    if PAGE not in env.found_docs:
        return []
    for name in {PAGE, *changed}:
        env.clear_doc(name)  # or a module that has moved between pages would be described twice for a moment
    return [PAGE]


def setup(app: Sphinx) -> dict:
    """Register the extension."""
    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", read_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
