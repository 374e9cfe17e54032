"""The rules every committed notebook keeps, and the normal form that makes most of them true."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import nbformat
import notebook_citations
from nbformat.v4 import new_code_cell, new_markdown_cell
from notebook_head import HEAD_IDS, ROOT, cost_cell, notebook_settings, read_repository, setup_cell

MAX_FILE_BYTES = 300 * 1024
MAX_OUTPUT_BYTES = 60 * 1024
MAX_CELLS = 40
MAX_ALT = 250
MIN_DESCRIPTION, MAX_DESCRIPTION = 40, 200

FIGURE_CLASSES = "dark-light"  # keeps the dark theme from recolouring a figure
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
CHAPTER = re.compile(r"(\d\d)_")
FILE_NAME = re.compile(r"^\d\d_[a-z0-9_]+\.ipynb$")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# The book puts style and script of its explorers into files of the site: a notebook keeps their state.
EXPLORER_CALL = re.compile(r"\b(?:Mask|Merge|Reach|SummarySource)Explorer\(|\bCostCalculator\(|\bLiveSummarizer\(")
EXPLORER_NEEDS = ("anywidget", "psygnal")  # what Colab has to install for them
WIDGET_SOURCE = re.compile(r"<style>(?:(?!</style>).)*</style><script type=\"module\">.*?</script>", re.DOTALL)
EXPLORER = 'data-explorer="'
# What must not stand in an output: it differs between two machines or two runs.
UNSTABLE = {
    "a memory address": re.compile(r"\bat 0x[0-9a-f]{4,}"),
    "a path of one machine": re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|content|usr)/\w"),
    "a progress bar": re.compile(r"\d+%\|"),
}
IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")


def name_of(path: Path) -> str:
    """Path of a notebook from the repository's root, with forward slashes."""
    return path.resolve().relative_to(ROOT).as_posix()


def all_notebooks() -> list[Path]:
    """Every notebook of the book, solutions included, in order."""
    folder = ROOT / "notebooks"
    return sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def sync(notebook: nbformat.NotebookNode, path: str) -> None:
    """Put the generated cost line and setup cell behind the title cell, replacing older ones.

    Args:
        notebook: The notebook, changed in place.
        path: Its path from the repository's root.
    """
    settings = notebook_settings(notebook.metadata)
    settings["needs"] = [*settings["needs"], *_missing_needs(notebook, settings)]
    notebook.metadata["longsum"] = settings
    repository = read_repository()
    old = {cell.id: cell for cell in notebook.cells if cell.get("id") in HEAD_IDS}
    cells = [cell for cell in notebook.cells if cell.get("id") not in HEAD_IDS]
    cost = new_markdown_cell(cost_cell(repository, path, settings), id="cost")
    setup = new_code_cell(setup_cell(repository, settings), id="setup")
    if "setup" in old:
        setup.execution_count = old["setup"].execution_count
    setup.metadata["tags"] = ["hide-input"]
    notebook.cells = [*cells[:1], cost, setup, *cells[1:]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = notebook_citations.as_links(cell.source)
    _number_title(notebook.cells[0], path)


def _number_title(cell: nbformat.NotebookNode, path: str) -> None:
    """Put the chapter's number, which its file has, into its title: other pages quote chapters by number."""
    number = CHAPTER.match(Path(path).name)
    if number and cell.cell_type == "markdown":
        cell.source = re.sub(r"\A# (?:\d+\. )?", f"# {int(number[1])}. ", cell.source)


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Bring a notebook into the form that is committed, in place.

    Fixed kernel and language entries, ids made from the cells' text, no timestamps, no widget state, no editor's
    metadata, alt text and caption of every figure copied from its output to the cell's metadata.
    """
    kept = {"longsum": notebook_settings(notebook.metadata)}
    if "description" in notebook.metadata:  # for link previews; `book/ext/book_assets.py` puts it into the page
        kept["description"] = notebook.metadata["description"]
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE, **kept})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    count = 0
    for cell in notebook.cells:
        if cell.get("id") not in HEAD_IDS:
            cell.id = _cell_id(cell, seen)
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.pop("attachments", None)
        if cell.cell_type != "code":
            continue
        count += 1
        executed = cell.execution_count is not None
        cell.execution_count = count if executed else None
        cell.outputs = _merge_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            _drop_data_addresses(output)
            _keep_state_only(output)
        _describe_figure(cell)


def check(path: Path) -> list[str]:
    """Return what is wrong with the notebook at `path`, one sentence each; an empty list is a pass."""
    name = name_of(path)
    problems = []
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        problems.append(f"the file has {size:,} bytes, the limit is {MAX_FILE_BYTES:,}")
    if not FILE_NAME.match(path.name):
        problems.append("the file's name is not of the form NN_slug.ipynb")
    notebook = nbformat.read(path, as_version=4)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        problems.append(f"not a valid notebook: {error.args[0]}")
    if len(notebook.cells) > MAX_CELLS:
        problems.append(f"{len(notebook.cells)} cells, the limit is {MAX_CELLS}")
    try:
        notebook_settings(notebook.metadata)
    except ValueError as error:  # nothing that follows could be made from it
        return [*problems, str(error)]
    problems += _check_description(notebook, path)
    problems += _check_head(notebook, name)
    problems += _check_normal_form(notebook)
    for index, cell in enumerate(notebook.cells):
        problems += [f"cell {index}: {text}" for text in _check_cell(cell)]
    return problems


def _check_description(notebook: nbformat.NotebookNode, path: Path) -> list[str]:
    """A chapter says in its metadata what it is about; solutions say it in their first paragraph."""
    described = len(notebook.metadata.get("description", ""))
    if path.parent.name == "solutions" or MIN_DESCRIPTION <= described <= MAX_DESCRIPTION:
        return []
    return [
        f"the description in the metadata has {described} characters, expected {MIN_DESCRIPTION} to {MAX_DESCRIPTION}: "
        "one sentence for link previews"
    ]


def _missing_needs(notebook: nbformat.NotebookNode, settings: dict) -> list[str]:
    """Packages that the notebook's explorers need and that its set-up cell would not install."""
    uses = any(EXPLORER_CALL.search(cell.source) for cell in notebook.cells if cell.cell_type == "code")
    return [name for name in EXPLORER_NEEDS if uses and name not in settings["needs"]]


def _cell_id(cell: nbformat.NotebookNode, seen: dict[str, int]) -> str:
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    seen[digest] = seen.get(digest, 0) + 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _merge_streams(outputs: list) -> list:
    """Join neighbouring pieces of one stream: where a kernel cuts a stream is a matter of timing."""
    merged: list = []
    for output in outputs:
        last = merged[-1] if merged else None
        same = last is not None and last.output_type == output.output_type == "stream" and last.name == output.name
        if same:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _drop_data_addresses(output: nbformat.NotebookNode) -> None:
    """Base64 data keep no line breaks at their end, so that two writers give the same bytes."""
    for mime, value in output.get("data", {}).items():
        if mime.startswith("image/") and isinstance(value, str) and mime != "image/svg+xml":
            output.data[mime] = value.strip()


def _keep_state_only(output: nbformat.NotebookNode) -> None:
    """Drop what an explorer's output shares with all others, and the widget that only a running kernel has."""
    data = output.get("data", {})
    page = data.get("text/html", "")
    if EXPLORER in page:
        data["text/html"] = WIDGET_SOURCE.sub("", page)
        data.pop(WIDGET_VIEW, None)


def _images(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [o for o in cell.get("outputs", []) if any(mime.startswith("image/") for mime in o.get("data", {}))]


def _figure_metadata(output: nbformat.NotebookNode) -> dict:
    """Cell metadata for MyST-NB, made from what `viz.show` stored beside the picture."""
    stored = output.get("metadata", {})
    alt = next((v["alt"] for k, v in stored.items() if k.startswith("image/") and "alt" in v), None)
    if alt is None:
        return {}
    metadata: dict = {"image": {"alt": alt, "classes": FIGURE_CLASSES}}
    figure = stored.get("longsum", {})
    if figure.get("caption"):
        metadata["figure"] = {k: figure[k] for k in ("caption", "name") if figure.get(k)}
    return metadata


def _describe_figure(cell: nbformat.NotebookNode) -> None:
    images = _images(cell)
    if len(images) == 1:
        metadata = _figure_metadata(images[0])
        if metadata:
            cell.metadata["mystnb"] = nbformat.from_dict(metadata)


def _check_head(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    settings = notebook_settings(notebook.metadata)
    problems = []
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        problems.append("the first cell is not Markdown that starts with a title ('# ')")
    missing = _missing_needs(notebook, settings)
    if missing:
        problems.append(f"its explorers need {' and '.join(missing)} (run notebooks.py sync)")
    repository = read_repository()
    wanted = (cost_cell(repository, name, settings), setup_cell(repository, settings))
    got = tuple(cell.source for cell in notebook.cells[1:3])
    if got != wanted:
        problems.append("badge, cost line or setup cell are not what _config.yml gives (run notebooks.py sync)")
    return problems


def _check_normal_form(notebook: nbformat.NotebookNode) -> list[str]:
    copy = nbformat.reads(nbformat.writes(notebook), as_version=4)
    normalise(copy)
    if nbformat.writes(copy) != nbformat.writes(notebook):
        return ["not in normal form (run notebooks.py normalise)"]
    return []


def _check_cell(cell: nbformat.NotebookNode) -> list[str]:
    problems = []
    if cell.cell_type == "markdown":
        if any(not match["alt"].strip() for match in IMAGE.finditer(cell.source)):
            problems.append("a picture without alt text")
        return problems
    if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
        problems.append("not executed")
    for output in cell.get("outputs", []):
        size = len(json.dumps(output))
        if size > MAX_OUTPUT_BYTES * 4 // 3 + 1024:  # base64 takes four bytes for three
            problems.append(f"an output of {size:,} bytes, the limit is {MAX_OUTPUT_BYTES:,} before encoding")
        problems += _check_output(cell, output)
    return problems + _check_figures(cell)


def _check_output(cell: nbformat.NotebookNode, output: nbformat.NotebookNode) -> list[str]:
    if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
        return [f"an error output ({output.ename}: {output.evalue})"]
    if output.output_type == "stream" and output.name == "stderr":
        return [f"text on stderr, starting {output.text[:60]!r}"]
    data = output.get("data", {})
    text = output.get("text", "") + "".join(v for k, v in data.items() if k.startswith("text/") and k != "text/html")
    return [f"an output holds {what}" for what, pattern in UNSTABLE.items() if pattern.search(text)]


def _check_figures(cell: nbformat.NotebookNode) -> list[str]:
    images = _images(cell)
    if not images:
        return []
    if len(images) > 1:
        return [f"{len(images)} pictures in one cell; alt text and caption are kept per cell, so show one a cell"]
    metadata = cell.metadata.get("mystnb", {})
    alt = metadata.get("image", {}).get("alt", "")
    if not alt:
        return ["a picture without alt text (use longsum_lib.viz.show(fig, alt=..., caption=...))"]
    problems = []
    if len(alt) > MAX_ALT:
        problems.append(f"alt text of {len(alt)} characters, the limit is {MAX_ALT}")
    if not metadata.get("figure", {}).get("caption"):
        problems.append("a picture without a caption")
    return problems
