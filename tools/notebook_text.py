"""A plain text form of a notebook, for writing and editing only.

The `.ipynb` is the one source that is committed. This form is what an author types or edits in between::

    # description: What a reader of a link preview learns of the chapter, in 40 to 200 characters.
    # kind: cpu
    # minutes: 1
    # memory: 1 GB
    # download: nothing
    # %% [markdown]
    # Sliding window and global tokens

    The lead paragraph. A Markdown cell holds plain Markdown, not comments.
    # %%
    window = 4
    # %% tags=hide-input,nbval-ignore-output
    print(window)

A line that starts with `# %%` begins a cell. `[markdown]` makes it a Markdown cell, `tags=a,b` gives it tags.
The badge, the cost line and the setup cell are not written here: `notebooks.py sync` puts them in.
"""

from __future__ import annotations

import re

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebook_head import HEAD_IDS

CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?: tags=(?P<tags>\S+))?\s*$")
DESCRIPTION = "description"  # stands in the metadata beside the settings: Sphinx finds it there
SETTINGS = ("kind", "minutes", "memory", "download", "needs")
SETTING = re.compile(rf"^# (?P<name>{'|'.join((DESCRIPTION, *SETTINGS))}): (?P<value>.+?)\s*$")


def from_text(text: str) -> nbformat.NotebookNode:
    """Build a notebook from its text form.

    Args:
        text: The text form described at the top of this module.

    Returns:
        A notebook (format 4.5) without outputs.

    Raises:
        ValueError: If something other than a setting stands before the first cell.
    """
    settings: dict = {}
    cells: list[nbformat.NotebookNode] = []
    lines: list[str] = []

    def close() -> None:
        if cells:
            cells[-1].source = "\n".join(lines).strip("\n")
        elif any(line.strip() for line in lines):
            raise ValueError(f"expected '# %%' or a setting before the first cell, got {lines[0]!r}")
        lines.clear()

    for line in text.splitlines():
        start, setting = CELL.match(line), SETTING.match(line)
        if start:
            close()
            cell = new_markdown_cell() if start["markdown"] else new_code_cell()
            if start["tags"]:
                cell.metadata["tags"] = start["tags"].split(",")
            cells.append(cell)
        elif setting and not cells:
            settings[setting["name"]] = _value(setting["name"], setting["value"])
        else:
            lines.append(line)
    close()
    notebook = new_notebook(cells=cells)
    if DESCRIPTION in settings:
        notebook.metadata[DESCRIPTION] = settings.pop(DESCRIPTION)
    notebook.metadata["longsum"] = settings
    return notebook


def to_text(notebook: nbformat.NotebookNode) -> str:
    """Write a notebook's text form: settings and cells, without outputs and without the generated head."""
    parts = []
    settings = {DESCRIPTION: notebook.metadata.get(DESCRIPTION), **notebook.metadata.get("longsum", {})}
    for name in (DESCRIPTION, *SETTINGS):
        if settings.get(name):
            value = settings[name]
            parts.append(f"# {name}: {','.join(value) if isinstance(value, list) else value}")
    for cell in notebook.cells:
        if cell.get("id") in HEAD_IDS:
            continue
        tags = cell.metadata.get("tags")
        kind = " [markdown]" if cell.cell_type == "markdown" else ""
        parts.append(f"# %%{kind}" + (f" tags={','.join(tags)}" if tags else ""))
        parts.append(cell.source)
    return "\n".join(parts) + "\n"


def _value(name: str, value: str) -> str | int | float | list[str]:
    if name == "needs":
        return [part.strip() for part in value.split(",")]
    if name == "minutes":
        return float(value) if "." in value else int(value)
    return value
