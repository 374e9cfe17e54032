"""Run the code cells of a notebook in order, without Jupyter: ``python -m tools.on_gpu.notebook FILE``."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

from tools.on_gpu.__main__ import LACKING


def main(name: str) -> None:
    """Run a notebook's cells in one namespace, from its own folder; the first that fails ends it.

    A cell that fails where a package is missing that the notebook names as needed ends it too, as a skip.
    """
    path = Path(name).resolve()
    content = json.loads(path.read_text(encoding="utf-8"))
    needs = content.get("metadata", {}).get("longsum", {}).get("needs", [])
    missing = [package for package in needs if importlib.util.find_spec(package) is None]
    os.chdir(path.parent)
    if importlib.util.find_spec("IPython") is None:
        show_as_text()
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] != "code":
            continue
        try:
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), namespace)
        except SystemExit as end:
            raise RuntimeError(f"cell {number} ended the program") from end
        except Exception as error:
            lacks = [package for package in missing if package in str(error) and is_of_import(error)]
            if not lacks:
                raise
            print(f"{LACKING} up to cell {number}, which needs {lacks[0]}")
            return


def is_of_import(error: BaseException | None) -> bool:
    """Tell whether an error is one of an import, or was raised because of one."""
    while error is not None:
        if isinstance(error, ImportError) or "install" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def show_as_text() -> None:
    """Stand in for IPython where it is not installed: a figure is its alternative text."""

    def display(data: dict[str, object], **_: object) -> None:
        print(data.get("text/plain", "") if isinstance(data, dict) else data)

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    vars(package).update(version_info=(9, 0), get_ipython=lambda: None, display=module)  # matplotlib asks for these
    vars(module)["display"] = display
    sys.modules |= {"IPython": package, "IPython.display": module}


if __name__ == "__main__":
    main(sys.argv[1])
