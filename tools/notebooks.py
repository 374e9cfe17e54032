"""Write, run, clean and check the book's notebooks.

Usage::

    python tools/notebooks.py from-text draft.py notebooks/02_slug.ipynb   # text form -> notebook (see notebook_text)
    python tools/notebooks.py to-text notebooks/02_slug.ipynb              # notebook -> text form, on stdout
    python tools/notebooks.py make notebooks/02_slug.ipynb                 # sync, execute, normalise, check
    python tools/notebooks.py sync|execute|normalise|check [NOTEBOOK ...]  # one step; no name = all notebooks

`sync` writes the badge, the cost line and the setup cell from `_config.yml` and the notebook's metadata.
`execute` runs a notebook from its own folder on the CPU, one thread, without the hub, and stores the outputs.
`normalise` strips what changes from run to run and copies alt text and captions to where the book reads them.
`check` prints every broken rule and ends with exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import notebook_rules as rules
import notebook_text

# One thread and fixed hashing give the same digits on every machine; offline means nothing is downloaded.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}
CELL_TIMEOUT_SECONDS = 600


def execute(notebook: nbformat.NotebookNode, folder: Path, *, gpu: bool = False) -> None:
    """Run every cell in place.

    Args:
        notebook: The notebook, changed in place: outputs and execution counts.
        folder: Working directory of the kernel, the notebook's own folder.
        gpu: Leave the GPU and the hub visible, for a run by hand before a release.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell raises and is not tagged `raises-exception`.
    """
    from nbclient import NotebookClient

    hidden = ("CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    settled = {name: value for name, value in ENVIRONMENT.items() if not (gpu and name in hidden)}
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute(env={**os.environ, **settled})


def rewrite(path: Path, step: Callable[[nbformat.NotebookNode], None]) -> None:
    """Apply one step to the notebook at `path` and write it back if that changed it."""
    notebook = nbformat.read(path, as_version=4)
    step(notebook)
    write(notebook, path)


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook if its text differs from what is there."""
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Bring the generated cells of one notebook up to date."""
    rewrite(path, lambda notebook: rules.sync(notebook, rules.name_of(path)))


def normalise(path: Path) -> None:
    """Bring one notebook into the form that is committed."""
    rewrite(path, rules.normalise)


def check(paths: list[Path]) -> int:
    """Print every broken rule; return the number of them."""
    found = [f"{rules.name_of(path)}: {problem}" for path in paths for problem in rules.check(path)]
    for line in found:
        print(line)
    return len(found)


def main(arguments: list[str] | None = None) -> int:
    """Command line, see the top of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("from-text", help="build a notebook from its text form")
    build.add_argument("draft", type=Path)
    build.add_argument("notebook", type=Path)
    show = commands.add_parser("to-text", help="print a notebook's text form")
    show.add_argument("notebook", type=Path)
    for name in ("make", "sync", "execute", "normalise", "check"):
        step = commands.add_parser(name)
        step.add_argument("notebooks", type=Path, nargs="*")
        step.add_argument("--gpu", action="store_true", help="execute with the GPU and the hub visible")
    options = parser.parse_args(arguments)

    if options.command == "from-text":
        notebook = notebook_text.from_text(options.draft.read_text(encoding="utf-8"))
        write(notebook, options.notebook)
        sync(options.notebook)
        normalise(options.notebook)
        return 0
    if options.command == "to-text":
        print(notebook_text.to_text(nbformat.read(options.notebook, as_version=4)), end="")
        return 0

    paths = options.notebooks or rules.all_notebooks()
    for path in paths:
        if options.command in ("make", "sync"):
            sync(path)
        if options.command in ("make", "execute"):
            rewrite(path, lambda notebook, path=path: execute(notebook, path.parent, gpu=options.gpu))
        if options.command in ("make", "normalise"):
            normalise(path)
    if options.command in ("make", "check"):
        return 1 if check(paths) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
