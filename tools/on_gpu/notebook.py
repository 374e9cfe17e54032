"""Run the code cells of a notebook in order, without Jupyter: ``python -m tools.on_gpu.notebook FILE``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(name: str) -> None:
    """Run a notebook's cells in one namespace, from its own folder; the first that fails ends it."""
    path = Path(name).resolve()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    os.chdir(path.parent)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), namespace)


if __name__ == "__main__":
    main(sys.argv[1])
