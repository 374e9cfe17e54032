"""The book's sources agree with each other: contents, bibliography, configuration, API pages."""

import importlib
import json
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document

import longsum_lib
from benchmarks import readme

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK / "ext"))

import book_assets  # noqa: E402
import book_chapters  # noqa: E402
import book_icons  # noqa: E402
import book_outputs  # noqa: E402
import book_reference  # noqa: E402
import book_results  # noqa: E402
import notebook_citations  # noqa: E402
from notebook_head import PLACEHOLDER_OWNER  # noqa: E402

PLACEHOLDER = f"https://github.com/{PLACEHOLDER_OWNER}/some-book"

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
CONTENTS = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text())
PAGES = sorted(BOOK.rglob("*.md"), key=str)
PAGES = [page for page in PAGES if "vendor" not in page.parts]
SOURCES = [*PAGES, *(ROOT / "notebooks").rglob("*.ipynb")]
KEY = re.compile(r"^@\w+\{([^,\s]+),", re.MULTILINE)
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


# --- contents -------------------------------------------------------------------------------------


def test_every_page_stands_in_the_contents():
    pages = {page.relative_to(ROOT).with_suffix("").as_posix() for page in PAGES}
    assert pages <= set(CONTENTS)
    assert len(CONTENTS) == len(set(CONTENTS))


@pytest.mark.parametrize("name", CONTENTS)
def test_every_entry_of_the_contents_exists(name):
    assert (ROOT / f"{name}.md").exists() or (ROOT / f"{name}.ipynb").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_describes_itself(page):
    front = page.read_text().split("---")[1]
    description = yaml.safe_load(front)["description"]
    assert 40 <= len(description) <= 200, f"{len(description)} characters"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_no_notebooks(page):
    # A kernel in the front matter would make the theme offer to open a Markdown file on Colab.
    assert "kernelspec" not in page.read_text()


def python_blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        found += [(f"{page.stem}-{number}", block) for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize(("name", "block"), python_blocks(), ids=[name for name, _ in python_blocks()])
def test_code_on_a_page_names_what_there_is(name, block):
    # Most examples need a hub; that they parse, and that what they import exists, needs none.
    compile(block, name, "exec")
    for line in re.findall(r"^(?:from|import) longsum_lib.*$", block, re.MULTILINE):
        exec(line, {})


def test_commands_on_a_page_are_understood():
    from longsum_lib import cli

    lines = [line for page in PAGES for line in re.findall(r"^longsum .+$", page.read_text(), re.MULTILINE)]
    assert lines
    for line in lines:
        arguments = line.split()[1:]
        assert cli.build_parser(arguments).parse_args(arguments)


def test_every_command_has_its_help_on_the_page():
    from longsum_lib.cli.commands import COMMANDS

    shown = re.findall(r"^```\{command-help\} (\S+)", (BOOK / "api" / "command.md").read_text(), re.MULTILINE)
    assert set(shown) == set(COMMANDS)


def test_targets_on_a_page_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match for page in PAGES for match in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert {"book", "test"} <= named <= targets


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "shown"), [(PLACEHOLDER, False), ("https://github.com/a/b", True)])
def test_buttons_lead_to_a_repository_that_is_there(url, shown):
    names = ("repository", "edit_page", "issues", "source")
    options = {"repository_url": url, "launch_buttons": {"colab_url": "x"}} | {f"use_{n}_button": True for n in names}
    config = SimpleNamespace(html_theme_options=options, html_baseurl="")
    app = SimpleNamespace(config=config, builder=SimpleNamespace(name="html"))
    book_assets.hide_placeholder(app)
    book_assets.set_address(app)
    assert bool(options["launch_buttons"]) == shown
    assert all(options[f"use_{name}_button"] == shown for name in names)
    assert bool(config.html_baseurl) == shown


def test_what_only_a_published_repository_has_is_left_out():
    page = "One.\n% published\nThe rocket.\n% end of published\nTwo.\n"
    for url, shown in ((PLACEHOLDER, False), ("https://github.com/a/b", True)):
        app = SimpleNamespace(config=SimpleNamespace(html_theme_options={"repository_url": url}))
        source = [page]
        book_assets.fill_in_repository(app, "page", source)
        assert ("rocket" in source[0]) == shown
        assert source[0].startswith("One.")
        assert source[0].endswith("Two.\n")


def test_icons_are_drawn_without_a_script():
    page = (
        '<head><link rel="preload" href="x/fontawesome.js?v=1"/><script src="x/fontawesome.js?v=1"></script></head>'
        '<body><i class="theme-switch fa-solid fa-sun   fa-lg" data-mode="light" title="Light"></i></body>'
    )
    drawn = book_icons.draw_icons(page, {"sun": (512, 256, "M0 0z")})
    assert "fontawesome.js" not in drawn
    assert 'viewBox="0 0 512 256"' in drawn
    assert 'd="M0 0z"' in drawn
    assert "theme-switch" in drawn
    assert 'data-mode="light"' in drawn
    assert "CC BY 4.0" in drawn
    with pytest.raises(KeyError):
        book_icons.draw_icons('<i class="fas fa-nothing"></i>', {})


def test_no_output_is_cut():
    document = new_document("page")
    for width in (20, 90, 150):
        document += nodes.literal_block(text="short\n" + "x" * width, classes=["output", "stream"])
    document += nodes.literal_block(text="x" * 150)  # code scrolls
    book_outputs.mark_wide(None, document, "page")
    assert [block["classes"][2:] for block in document] == [[], ["wide"], ["wider"], []]


def test_next_leads_past_the_solutions():
    relations = ["notebooks/21_x", "book/solutions", "notebooks/solutions/21_x_solutions", "book/cost"]
    builder = SimpleNamespace(
        name="html",
        get_relative_uri=lambda here, there: f"{there}.html",
        render_partial=lambda title: {"title": title},
    )
    env = SimpleNamespace(collect_relations=lambda: dict.fromkeys(relations), titles={n: n.upper() for n in relations})
    app = SimpleNamespace(builder=builder, env=env)
    context = {"prev": {"link": "before"}, "next": {"link": "book/solutions.html"}}
    book_chapters.past_solutions(app, "notebooks/21_x", "", context, None)
    assert context["next"] == {"link": "book/cost.html", "title": "BOOK/COST"}
    context = {"prev": {"link": "solutions"}, "next": None}
    book_chapters.past_solutions(app, "book/cost", "", context, None)
    assert context["prev"]["link"] == "notebooks/21_x.html"
    inside = {"prev": {"link": "a"}, "next": {"link": "b"}}
    book_chapters.past_solutions(app, "notebooks/solutions/21_x_solutions", "", inside, None)
    assert inside["next"] == {"link": "b"}


def test_colab_links_will_be_right():
    assert CONFIG["repository"]["branch"]
    assert "path_to_book" not in CONFIG["repository"]
    assert CONFIG["launch_buttons"] == {"colab_url": "https://colab.research.google.com"}


def test_the_build_executes_nothing():
    assert CONFIG["execute"]["execute_notebooks"] == "off"


def test_no_page_loads_scripts_by_accident():
    # Jupyter Book loads every script below _static on every page.
    assert [path for path in (ROOT / "_static").rglob("*") if path.suffix == ".js"] == []


def test_electronic_book_is_the_same_book():
    other = yaml.safe_load((ROOT / "_config_epub.yml").read_text())
    assert "repository" not in other
    assert "launch_buttons" not in other
    for name in ("title", "author", "copyright", "bibtex_bibfiles", "execute", "parse"):
        assert other[name] == CONFIG[name], name


def test_every_formula_of_the_book_can_be_mathml():
    pytest.importorskip("latex2mathml")
    import book_mathml

    found = 0
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        for block, inline in re.findall(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$\n]+)\$", text, re.DOTALL):
            assert "<math" in book_mathml.to_mathml(block or inline, block=bool(block)), f"{source}: {block or inline}"
            found += 1
    assert found > 500
    with pytest.raises(ValueError, match=r"no MathML for \\strange"):
        book_mathml.to_mathml(r"\strange{x}", block=False)


def test_electronic_book_declares_pages_with_formulas(tmp_path):
    import zipfile
    from types import SimpleNamespace

    import book_epub

    path = tmp_path / "b.epub"
    items = (
        '<item id="a" href="a.xhtml" /><item id="n" href="nav.xhtml" properties="nav"/><item id="b" href="b.xhtml" />'
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("a.xhtml", "<p><math/></p>", zipfile.ZIP_DEFLATED)
        book.writestr("b.xhtml", "<p/>")
        book.writestr("content.opf", items)
    builder = SimpleNamespace(name="epub", id_cache={})
    app = SimpleNamespace(outdir=tmp_path, config=SimpleNamespace(epub_basename="b"), builder=builder)
    book_epub.rewrite(app, None)
    with zipfile.ZipFile(path) as book:
        assert book.namelist() == ["mimetype", "a.xhtml", "b.xhtml", "content.opf"]
        assert book.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert book.read("content.opf").decode() == items.replace('"a.xhtml" />', '"a.xhtml" properties="mathml" />')


def test_pages_of_the_electronic_book_hold_nothing_that_a_reader_cannot_show():
    import book_epub

    page = (
        '<link rel="stylesheet" href="../_static/a.css" /><link rel="stylesheet" href="../_static/b.css" />'
        '<script>x</script><summary aria-label="t">\n<p class="collapsed admonition-title">Show</p></summary>'
        '<svg w="1">'
    )
    assert book_epub.readable(page, "notebooks", {"_static/a.css"}) == (
        '<link rel="stylesheet" href="../_static/a.css" /><summary aria-label="t">\n'
        '<span class="collapsed admonition-title">Show</span></summary><svg xmlns="http://www.w3.org/2000/svg" w="1">'
    )


def test_a_folded_cell_of_the_electronic_book_has_one_line():
    import book_epub

    show, hide = (f'<p class="{name} admonition-title">{name}</p>' for name in ("collapsed", "expanded"))
    context = {"body": f"<summary>{show}{hide}</summary>"}
    book_epub.one_line_a_button(None, "page", "page.html", context, None)
    assert context["body"] == f"<summary>{show}</summary>"


def test_electronic_book_has_the_library_version():
    other = yaml.safe_load((ROOT / "_config_epub.yml").read_text())
    assert str(other["sphinx"]["config"]["version"]) == longsum_lib.__version__


# --- bibliography ---------------------------------------------------------------------------------


def citations() -> set[str]:
    found = set()
    for source in SOURCES:
        text = source.read_text()
        for match in CITATION.finditer(text):
            found |= {key.strip() for key in match[1].split(",")}
        found |= notebook_citations.cited(text)
    return found


def test_every_reference_is_cited_and_every_citation_is_there():
    keys = KEY.findall((ROOT / "references.bib").read_text())
    assert len(keys) == len(set(keys))
    assert set(keys) == citations()


@pytest.mark.parametrize("entry", re.split(r"\n(?=@)", (ROOT / "references.bib").read_text())[1:], ids=KEY.findall)
def test_reference_is_complete(entry):
    key = KEY.search(entry)[1]
    fields = dict(re.findall(r"^\s+(\w+) = \{(.*)\},?$", entry, re.MULTILINE))
    assert {"title", "author", "year", "url"} <= set(fields)
    first_author = re.sub(r"[^a-z]", "", fields["author"].split(",")[0].lower())
    assert re.fullmatch(rf"{first_author}{fields['year']}[a-z0-9]+", key)
    assert fields["url"].startswith("https://")


# --- API reference --------------------------------------------------------------------------------


def test_every_public_name_stands_in_the_reference_once_and_nothing_else_does():
    texts = [page.read_text() for page in sorted((BOOK / "api").glob("*.md"))]
    shown = [name for text in texts for name in book_reference.named_on(text)]
    assert sorted(shown) == sorted(book_reference.reference_names())
    assert not re.search(r"auto(module|class|function|method|data)::", "".join(texts))


def test_what_a_stub_exports_is_in_the_reference():
    shown = list(book_reference.reference_names().values())
    modules = [value for value in shown if isinstance(value, ModuleType)]
    for package, names in book_reference.public_names().items():
        for name in names:
            value = getattr(importlib.import_module(package), name)
            own = f"{package}.{name}" in book_reference.public_names()  # has a table row, and pages, of its own
            assert own or any(value is one for one in shown) or any(vars(m).get(name) is value for m in modules), name


def test_a_block_of_names_becomes_directives_and_a_private_name_is_refused():
    source = ["```{public} longsum_lib\nsummarize\nLEDModel\nLEDConfig\nerrors\n```\n"]
    book_reference.fill_in(None, "book/api/models", source)
    written = re.findall(r"^\.\. ([\w:]+):: (?:longsum_lib\.)?(\w+)$", source[0], re.MULTILINE)
    kinds = {name: directive for directive, name in written}
    assert kinds == {
        "summarize": "autofunction",
        "LEDModel": "autoclass",
        "LEDConfig": "py:class",
        "errors": "automodule",
    }
    with pytest.raises(KeyError):
        book_reference.described("longsum_lib.models.led.model.LEDEncoder")


def test_a_model_whose_forward_is_that_of_a_private_base_shows_it():
    assert "automethod:: forward" in book_reference.described("longsum_lib.LSGBartForConditionalGeneration")
    assert "automethod" not in book_reference.described("longsum_lib.LEDModel")  # has its own


def test_references_lead_to_the_public_place():
    path = book_reference.public_path
    assert path("longsum_lib.models.led.model.LEDModel.forward") == "longsum_lib.LEDModel.forward"
    assert path("longsum_lib.evaluation.rouge_scores.rouge") == "longsum_lib.evaluation.rouge"
    assert book_reference.meant(".can_stream")
    assert not book_reference.meant(".can_steram")


def test_bases_that_are_private_are_left_out():
    bases = list(longsum_lib.LEDModel.__bases__)
    book_reference.only_public_bases(None, "", longsum_lib.LEDModel, None, bases)
    assert [base.__name__ for base in bases] == ["PreTrainedModel"]
    bases = list(longsum_lib.errors.DocumentTooLong.__bases__)
    book_reference.only_public_bases(None, "", longsum_lib.errors.DocumentTooLong, None, bases)
    assert [base.__name__ for base in bases] == ["DocumentError"]


def test_the_first_page_of_the_reference_lists_what_is_public():
    source = [(BOOK / "api" / "index.md").read_text()]
    book_reference.fill_in(None, book_reference.FIRST_PAGE, source)
    rows = dict(re.findall(r"^\| `(longsum_lib[.a-z]*)` \| (.*) \|$", source[0], re.MULTILINE))
    for package, names in rows.items():
        module = importlib.import_module(package)
        if "`_`" not in names:
            assert sorted(re.findall(r"`(\w+)`", names)) == sorted(module.__all__)
    assert {"longsum_lib", "longsum_lib.models", "longsum_lib.memory"} <= set(rows)


MODULES = [info.name for info in pkgutil.walk_packages(longsum_lib.__path__, "longsum_lib.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_every_function_without_underscore_says_what_it_does(name):
    module = importlib.import_module(name)
    own = [v for k, v in vars(module).items() if not k.startswith("_") and getattr(v, "__module__", "") == name]
    silent = [value.__name__ for value in own if callable(value) and not (value.__doc__ or "").strip()]
    assert silent == []


# --- the extensions -------------------------------------------------------------------------------


def test_repeated_scripts_are_written_once_and_unused_widget_state_is_dropped():
    script = '<script>const THEBE_JS_URL = "x"</script>'
    state = '<script type="application/vnd.jupyter.widget-state+json">{"state": {}}</script>'
    view = '<script type="application/vnd.jupyter.widget-view+json">{}</script>'
    other = "<script>f()</script>"
    assert book_assets.clean_page(f"<p>{script}{other}{script}{other}</p>") == f"<p>{script}{other}{other}</p>"
    assert book_assets.clean_page(f"<p>a</p>{state}") == "<p>a</p>"
    assert book_assets.clean_page(f"<p>{view}</p>{state}") == f"<p>{view}</p>{state}"


def test_a_page_without_a_description_is_described_by_its_first_paragraph():
    document = new_document("page")
    section = nodes.section()
    section += nodes.title(text="Title")
    section += nodes.paragraph(text="Short.")
    section += nodes.paragraph(text="Runs on: a CPU is enough · time: about 1 minute · memory: 1 GB")
    section += nodes.paragraph(text="long words " * 40)
    document += section
    described = book_assets.describe(document, {})
    assert described.startswith("long words")
    assert described.endswith("words …")
    assert len(described) <= book_assets.MAX_DESCRIPTION + 2
    assert book_assets.describe(document, {"description": "its  own\nwords"}) == "its own words"


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (16384, "16,384"),
        (1.23456, "1.23"),
        (2.0, "2.00"),
        (14.0, "14.0"),
        (0.5, "0.500"),
        (170.4, "170"),
        (12345.6, "12,346"),
        ([1, 2], "1, 2"),
        ("a", "a"),
    ],
)
def test_results_are_written_for_readers(value, text):
    assert book_results.text(value) == text


def test_a_result_becomes_a_table_with_its_origin():
    rows = [
        {"length": 4096, "seconds": 0.5},
        {"length": 8192, "seconds": 1.0, "extra_mib": 12, "spread": [1, 2], "empty": None},
    ]
    table = book_results.table(rows)
    cells = [entry.astext() for entry in table.findall(nodes.entry)]
    assert cells == ["tokens", "ours (s)", "ours (MiB)", "4,096", "0.500", "–", "8,192", "1.00", "12"]
    result = {"rows": rows, "machine": {"cores": 2}, "command": "make bench", "missing": []}
    origin = book_results.origin(Path("a.json"), result)
    assert "cores 2" in origin.astext()
    assert "make bench" in origin.astext()
    assert "missing" not in origin.astext().lower()


def test_a_ratio_stands_beside_what_its_rounds_allow():
    spread = {"longsum_lib": {"low": 1, "high": 2, "rounds": 2}, "transformers": {"low": 4, "high": 8, "rounds": 2}}
    rows = [{"length": 5, "times_faster": 4.0, "spread": spread}, {"length": 6, "times_faster": None, "spread": {}}]
    cells = [entry.astext() for entry in book_results.table(rows).findall(nodes.entry)]
    assert cells == ["tokens", "times faster (over the rounds)", "5", "4.0 (2.0 to 8.0)", "6", "–"]


def test_what_is_the_same_in_all_rows_is_said_once():
    rows = [{"model": "LED", "dtype": None, "length": n, "allocator": "default"} for n in (1, 2)]
    same, kept = book_results.split_constant(rows)
    assert same == "In all rows: model LED."
    assert kept[0] == {"dtype": None, "length": 1, "allocator": "default"}
    assert book_results.split_constant([{**rows[0]}, {**rows[1], "model": "LSG"}])[0] == ""


def test_times_become_a_chart_that_fits_a_page(tmp_path):
    rows = [
        {"length": length, "allocator": allocator, "seconds": length / 1000, "full_seconds": None}
        for allocator in ("default", "kept pages")
        for length in (1024, 4096)
    ]
    book_results.draw_chart(rows, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_results_page_reads_what_the_benchmarks_write():
    assert "```{benchmark-results}" in (BOOK / "results.md").read_text()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, "4.0 (2.0 to 8.0)", id="one run"),
        pytest.param({"times_faster": {"low": 3.0, "high": 5.0}}, "4.0 (3.0 to 5.0)", id="several runs"),
    ],
)
def test_the_page_of_results_and_the_readme_give_the_same_range(more, expected):
    spread = {"longsum_lib": {"low": 1, "high": 2, "rounds": 2}, "transformers": {"low": 4, "high": 8, "rounds": 2}}
    row = {"times_faster": 4.0, "spread": spread | more}
    assert book_results.with_spread(row)["times_faster"] == expected
    assert readme.times_faster(row).replace(" ×", "").replace("*", "") == expected
