"""Every committed notebook keeps the rules; and the tools that make it so do what they say."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import notebook_citations  # noqa: E402
import notebook_head  # noqa: E402
import notebook_rules as rules  # noqa: E402
import notebook_text  # noqa: E402

import notebooks  # noqa: E402

NOTEBOOKS = rules.all_notebooks()
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
PNG = "iVBORw0KGgo="


# --- what is committed ----------------------------------------------------------------------------


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert rules.check(path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_in_the_book(path):
    name = rules.name_of(path).removesuffix(".ipynb")
    assert f"file: {name}\n" in (ROOT / "_toc.yml").read_text() + "\n", f"add {name} to _toc.yml"


def test_every_chapter_has_solutions():
    chapters = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]
    missing = [
        path.name
        for path in chapters
        if "## Exercises" in path.read_text()
        and not (path.parent / "solutions" / f"{path.stem}_solutions.ipynb").exists()
    ]
    assert missing == []


def test_address_comes_from_the_configuration():
    repository = notebook_head.read_repository()
    assert repository.url == CONFIG["repository"]["url"]
    owner, name = repository.url.split("/")[-2:]
    expected = f"https://colab.research.google.com/github/{owner}/{name}/blob/main/notebooks/01_a.ipynb"
    assert repository.colab("notebooks/01_a.ipynb") == expected


def test_no_link_leads_to_the_placeholder():
    settings = notebook_head.notebook_settings({})
    placeholder = f"https://github.com/{notebook_head.PLACEHOLDER_OWNER}/b"
    for url, shown in ((placeholder, False), ("https://github.com/a/b", True)):
        text = notebook_head.cost_cell(notebook_head.Repository(url, "main"), "notebooks/01_a.ipynb", settings)
        assert (url in text) == ("colab" in text) == shown
        assert "**Runs on:**" in text


def test_badge_is_found_from_every_folder():
    settings = notebook_head.notebook_settings({})
    repository = notebook_head.Repository("https://github.com/a/b", "main")
    for path in ("notebooks/01_a.ipynb", "notebooks/solutions/01_a_solutions.ipynb"):
        text = notebook_head.cost_cell(repository, path, settings)
        badge = text.split("](")[1].split(")")[0]
        assert (ROOT / path).parent.joinpath(badge).resolve().is_file()


# --- the set-up cell ------------------------------------------------------------------------------


def test_setup_cell_finds_the_clone(tmp_path, monkeypatch):
    (tmp_path / "longsum_lib").mkdir()
    (tmp_path / "longsum_lib" / "__init__.py").touch()
    folder = tmp_path / "notebooks" / "solutions"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = notebook_head.setup_cell(notebook_head.read_repository(), notebook_head.notebook_settings({}))
    exec(code, {})
    assert sys.path[0] == str(tmp_path)


def test_setup_cell_elsewhere_installs_without_touching_the_stack(tmp_path, monkeypatch):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append(command))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "found" if name == "present" else None)
    settings = notebook_head.notebook_settings({"longsum": {"needs": ["present", "absent"]}})
    exec(notebook_head.setup_cell(notebook_head.read_repository(), settings), {})
    (command,) = calls
    assert "--no-deps" in command
    assert "present" not in command
    assert command[-2:] == ["sentencepiece", "absent"]
    assert not {"torch", "transformers", "numpy", "ipywidgets"} & set(command)
    assert any(part.startswith(f"longsum-lib @ git+{CONFIG['repository']['url']}@") for part in command)


# --- the tools ------------------------------------------------------------------------------------

DRAFT = """\
# description: A letter gets a number, and the reader sees that it was kept.
# kind: cpu
# minutes: 1
# memory: 1 GB
# download: nothing
# %% [markdown]
# A title
# %%
x = 1
# %% tags=hide-input
# a comment
x
"""


def test_text_form_goes_there_and_back():
    assert notebook_text.to_text(notebook_text.from_text(DRAFT)) == DRAFT


def test_text_form_refuses_what_stands_before_the_first_cell():
    with pytest.raises(ValueError, match="before the first cell"):
        notebook_text.from_text("x = 1\n# %%\n")


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="tpu"):
        notebook_head.notebook_settings({"longsum": {"kind": "tpu"}})


def test_sync_is_idempotent_and_keeps_the_title_first():
    notebook = notebook_text.from_text(DRAFT)
    rules.sync(notebook, "notebooks/01_a.ipynb")
    once = nbformat.writes(notebook)
    rules.sync(notebook, "notebooks/01_a.ipynb")
    assert nbformat.writes(notebook) == once
    assert [cell.get("id") for cell in notebook.cells[1:3]] == ["cost", "setup"]
    assert notebook.cells[0].source == "# 1. A title"


def test_citations_become_links_that_work_anywhere():
    text = "One {cite:p}`beltagy2020longformer`, and {cite:t}`jain2019attention`."
    links = notebook_citations.as_links(text)
    assert links.startswith(
        "One ([Beltagy et al., 2020](https://arxiv.org/abs/2004.05150)), and [Jain and Wallace (2019)](https://"
    )
    assert notebook_citations.cited(links) == {"beltagy2020longformer", "jain2019attention"}
    with pytest.raises(KeyError):
        notebook_citations.as_links("{cite:p}`nobody1900nothing`")


def picture(**words):
    metadata = {"image/png": {"alt": "A band."}, "longsum": {"caption": "Few keys.", "name": "fig-x"}, **words}
    return new_output("display_data", {"image/png": PNG, "text/plain": "Figure: A band."}, metadata=metadata)


def good_notebook() -> nbformat.NotebookNode:
    """A notebook that keeps all rules."""
    notebook = notebook_text.from_text(DRAFT)
    notebook.cells[1].outputs = [picture()]
    notebook.cells[2].outputs = [new_output("execute_result", {"text/plain": "1"}, execution_count=3)]
    rules.sync(notebook, "notebooks/01_a.ipynb")
    for number, cell in enumerate([c for c in notebook.cells if c.cell_type == "code"], 1):
        cell.execution_count = number
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    notebook.metadata["widgets"] = {"state": {}}
    rules.normalise(notebook)
    return notebook


def problems_of(notebook, tmp_path, monkeypatch, name="01_a.ipynb"):
    path = tmp_path / "notebooks" / name
    path.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    notebooks.write(notebook, path)
    return rules.check(path)


def test_normalised_notebook_passes(tmp_path, monkeypatch):
    notebook = good_notebook()
    assert problems_of(notebook, tmp_path, monkeypatch) == []
    text = nbformat.writes(notebook)
    assert "iopub" not in text
    assert "widgets" not in notebook.metadata
    figure = notebook.cells[3].metadata["mystnb"]
    assert figure["image"] == {"alt": "A band.", "classes": "dark-light"}
    assert figure["figure"] == {"caption": "Few keys.", "name": "fig-x"}


def test_normalise_joins_pieces_of_a_stream():
    notebook = new_notebook(cells=[new_code_cell("print()", outputs=[])])
    pieces = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    notebook.cells[0].outputs = pieces
    rules.normalise(notebook)
    assert [output.text for output in notebook.cells[0].outputs] == ["a\nb\n"]


def add(cell):
    return lambda notebook: notebook.cells.append(cell)


def output(kind, **content):
    cell = new_code_cell("x", execution_count=4, outputs=[new_output(kind, **content)])
    return add(cell)


def set_setup(notebook):
    notebook.cells[2].source += "\n"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (add(new_code_cell("x")), "not executed"),
        (add(new_markdown_cell("![](a.png)")), "picture without alt text"),
        (lambda n: [n.cells.append(new_markdown_cell("x")) for _ in range(40)], "the limit is 40"),
        (lambda n: n.cells.pop(0), "a title"),
        (set_setup, "notebooks.py sync"),
        (output("stream", name="stderr", text="careful"), "stderr"),
        (output("error", ename="ValueError", evalue="no", traceback=[]), "an error output"),
        (output("stream", name="stdout", text="<object at 0x7f00aa>"), "a memory address"),
        (output("stream", name="stdout", text="/" + "home/me/x"), "a path of one machine"),
        (output("stream", name="stdout", text="x" * 100_000), "the limit is 61,440"),
        (output("display_data", data={"image/png": PNG}), "without alt text"),
        (add(new_code_cell("x", execution_count=4, outputs=[picture(), picture()])), "2 pictures in one cell"),
        (add(new_code_cell("x", execution_count=4, outputs=[picture(longsum={})])), "without a caption"),
        (lambda n: n.metadata.update(kernelspec={"name": "other"}), "normal form"),
        (lambda n: n.metadata["longsum"].update(kind="tpu"), "tpu"),
        (lambda n: n.metadata.pop("description"), "description in the metadata has 0 characters"),
        (lambda n: n.metadata.update(description="x" * 201), "has 201 characters, expected 40 to 200"),
        (add(new_markdown_cell("x" * 400_000)), "the limit is 307,200"),
    ],
)
def test_check_finds_a_broken_rule(tmp_path, monkeypatch, spoil, message):
    notebook = good_notebook()
    spoil(notebook)
    if "tpu" not in message and "normal form" not in message:
        rules.normalise(notebook)
    assert any(message in problem for problem in problems_of(notebook, tmp_path, monkeypatch))


def test_check_wants_a_number_and_a_slug_as_name(tmp_path, monkeypatch):
    notebook = good_notebook()
    assert any("NN_slug" in p for p in problems_of(notebook, tmp_path, monkeypatch, "Untitled.ipynb"))


def test_execute_runs_on_the_cpu_without_the_hub(tmp_path, monkeypatch):
    for name in notebooks.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    notebook = new_notebook(cells=[new_code_cell("import os\nprint(os.environ['HF_HUB_OFFLINE'], os.getcwd())")])
    before = dict(os.environ)
    notebooks.execute(notebook, tmp_path)
    assert notebook.cells[0].outputs[0].text == f"1 {tmp_path}\n"
    assert dict(os.environ) == before  # the kernel's, not ours
