"""Sphinx extension: what is public, from the packages' stubs, and what is inside, from the modules themselves.

The first page of the reference lists the public names, the page `book/api/inside` every module that no other page has.
So none has to be entered by hand.
"""

from __future__ import annotations

import ast
import pkgutil
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

API = Path(__file__).resolve().parents[1] / "api"
PAGES = ("book/api/inside", "book/api/inside-models")
FIRST_PAGE = "book/api/index"
NAMES_PLACE = "% the public names stand here"
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


def page_of(module: str) -> str:
    """Return the page that a remaining module stands on: one page of all would be too heavy."""
    return PAGES[module.startswith(("longsum_lib.models.", "longsum_lib.attention."))]


def public_names() -> dict[str, list[str]]:
    """Return the public names of each package, and the modules that are public as they are, from the stubs."""
    library = API.parents[1] / "longsum_lib"
    packages = ["longsum_lib", *(f"longsum_lib.{name}" for name in _imported(library / "__init__.pyi", module=None))]
    found = {}
    for package in packages:
        stub = library.joinpath(*package.split(".")[1:]) / "__init__.pyi"
        found[package] = _imported(stub) if stub.is_file() else []
    return found


def _imported(stub: Path, module: str | None = "") -> list[str]:
    imports = [node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    chosen = [node for node in imports if module == "" or node.module is None]
    return sorted((alias.name for node in chosen for alias in node.names), key=str.lower)


def names_table() -> str:
    """Return the public names as a table in Markdown."""
    rows = ["| import from | public names |", "|---|---|"]
    for package, names in public_names().items():
        words = ", ".join(f"`{name}`" for name in names) or "all that the module defines without `_`"
        rows.append(f"| `{package}` | {words} |")
    return "\n".join(rows)


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write the public names into the first page, and a section for each remaining module into that of the inside."""
    source[0] = source[0].replace(NAMES_PLACE, names_table()) if docname == FIRST_PAGE else source[0]
    if docname not in PAGES:
        return
    parts = []
    package = None
    for name in remaining_modules():
        if page_of(name) != docname:
            continue
        parent, _, short = name.rpartition(".")
        if parent != package:
            package = parent
            parts.append(f"## `{parent}`\n")
        parts.append(f"### `{short}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n")
    source[0] = source[0].replace(PLACE, "\n".join(parts))


def read_again(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> list[str]:
    """Read the page in every build: it changes when the library does, not when its own file does."""
    pages = {*PAGES, FIRST_PAGE} & set(env.found_docs)
    for name in {*pages, *changed}:
        env.clear_doc(name)  # or a module that has moved between pages would be described twice for a moment
    return sorted(pages)


def setup(app: Sphinx) -> dict:
    """Register the extension."""
    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", read_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
