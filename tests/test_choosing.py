"""The page that helps to choose a model says what the library says."""

import json
import re
import sys
from datetime import date
from pathlib import Path

import pytest

from longsum_lib import memory
from longsum_lib.loading.registry import HUB_MODELS

BOOK = Path(__file__).resolve().parents[1] / "book"
sys.path.insert(0, str(BOOK / "ext"))

import book_memory  # noqa: E402

PAGE = (BOOK / "choosing-a-model.md").read_text()
ROW = re.compile(
    r"^\| \[(\S+)\]\(https://huggingface\.co/(\S+)\) \| ([\d,]+) \| (yes|no) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE
)
ROWS = {match[1]: match for match in ROW.finditer(PAGE)}


def test_every_named_checkpoint_has_a_row_and_no_other():
    assert set(ROWS) == {model.name for model in HUB_MODELS}


@pytest.mark.parametrize("model", HUB_MODELS, ids=lambda model: model.name)
def test_a_row_says_what_the_registry_says(model):
    _, link, tokens, summarizes, trained_on, _ = ROWS[model.name].groups()
    assert link == model.name
    assert int(tokens.replace(",", "")) == model.tokens
    assert (summarizes == "yes") == model.summarizes
    assert model.note.startswith(trained_on)


def test_every_score_has_a_source():
    table = PAGE.split("## Reported scores")[1].split("[^pegasus]:")[0]
    rows = [line for line in table.splitlines() if re.search(r"\d\d\.\d", line) and line.startswith("|")]
    assert len(rows) >= 10
    used = set()
    for row in rows:
        marks = re.findall(r"\[\^([\w-]+)\]", row)
        assert marks, row
        used |= set(marks)
    assert used == set(re.findall(r"^\[\^([\w-]+)\]:", PAGE, re.M))


def scores(name):
    """A table of scores: its columns, and its rows by model and input."""
    lines = PAGE.split(f"### {name}\n")[1].strip().split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [name.replace("\N{NON-BREAKING HYPHEN}", "-") for name in cells[0][2:]], [row[2:] for row in cells[2:]]


@pytest.mark.parametrize("name", ["arXiv", "PubMed", "BigPatent", "GovReport"])
def test_no_column_mixes_two_measures(name):
    columns, rows = scores(name)
    assert columns == ["R-1", "R-2", "R-L", "R-Lsum"][: len(columns)]
    assert len(columns) >= 3
    for row in rows:
        found = {column: float(cell) for column, cell in zip(columns, row, strict=True) if cell != "–"}
        assert found
        if {"R-L", "R-Lsum"} <= set(found):
            assert found["R-L"] < found["R-Lsum"] - 4, row


def test_what_is_said_of_the_scores_follows_from_them():
    text = PAGE.split("How to read them:")[1].split("## Traps")[0]
    _, arxiv = scores("arXiv")
    one = [float(row[0]) for row in arxiv]
    short, extended, tokens, trained = one[-4:]
    for words, number in (
        ("alone add {:.2f}", extended - short),
        ("global tokens {:.2f} more", tokens - extended),
        ("the last {:.2f}", trained - tokens),
        ("gains {:.2f}", one[2] - one[1]),
        ("score {:.1f} points", one[3] - one[4]),
    ):
        assert words.format(number) in " ".join(text.split())
    assert f"has {arxiv[-1][2]} of the one and {arxiv[-1][3]} of the other" in text


# --- sources --------------------------------------------------------------------------------------

SOURCES = json.loads((Path(__file__).parent / "sources.json").read_text())
# Collections of others' numbers, summaries written by machines, and sites that are gone.
SECOND_HAND = (
    "paperswithcode",
    "emergentmind",
    "codesota",
    "wizwand",
    "scholarfeed",
    "arxivlens",
    "deepai.org",
    "medium.com",
)


def test_footnotes_lead_to_first_sources_that_were_seen():
    notes = re.findall(r"^\[\^[\w-]+\]: (.*(?:\n    .*)*)", PAGE, re.M)
    used = {address for note in notes for address in re.findall(r"\]\((https://[^)]+)\)", note)}
    assert used == set(SOURCES)
    for address, entry in SOURCES.items():
        assert address.split("/")[2] in ("arxiv.org", "github.com", "huggingface.co"), address
        assert date(2026, 11, 1) <= date.fromisoformat(entry["seen"])
        assert entry["what"]


def test_nothing_in_the_book_is_known_from_second_hand():
    root = BOOK.parent
    pages = [*BOOK.rglob("*.md"), *(root / "notebooks").rglob("*.ipynb"), root / "README.md", root / "references.bib"]
    assert len(pages) > 40
    found = {page.name: [name for name in SECOND_HAND if name in page.read_text().lower()] for page in pages}
    assert {page: names for page, names in found.items() if names} == {}


# --- memory ---------------------------------------------------------------------------------------


def test_memory_table_has_every_published_model_in_the_format_of_a_t4():
    rows = {row[0]: row for row in book_memory.rows()}
    assert set(rows) == set(memory.published())
    assert rows["google/pegasus-x-large"][2] == "fp32"  # its activations leave the range of fp16
    assert rows["allenai/led-large-16384"][2] == "fp16"
    assert rows["google/bigbird-pegasus-large-arxiv"][4:] == ("–", "–", "4,096")
    for row in rows.values():
        assert len(row) == len(book_memory.HEAD)


def test_memory_table_shows_what_the_library_predicts():
    numbers = memory.model_numbers("google/long-t5-tglobal-xl")
    _, size, dtype, short, long, quantized, longest = book_memory.row("google/long-t5-tglobal-xl", numbers, 9 * 2**30)
    run = {"beams": 4, "dtype": dtype, "device": "gpu"}
    peaks = [memory.predict(numbers, length=length, **run)["total"] / 2**30 for length in (4096, 16384)]
    assert short == f"{peaks[0]:.1f}"
    assert long == f"{peaks[1]:.1f} (too much)"
    assert float(quantized) < peaks[1]
    assert int(longest.replace(",", "")) <= memory.largest_input(numbers, 9 * 2**30, **run)
    assert size.endswith("billion")


def test_pages_claims_about_costs_are_true():
    # book/cost.md, "Things to try"
    def predict(name, **options):
        return memory.predict(memory.model_numbers(name), device="gpu", **options)

    one, eight = (predict("google/pegasus-x-large", length=16384, beams=beams) for beams in (1, 8))
    assert one["cross_cache"] == eight["cross_cache"]
    short, long = (predict("google/pegasus-x-large", length=length) for length in (16384, 65536))
    assert long["total"] < 4 * short["total"]
    saved = {}
    for name, dtype in (("google/long-t5-tglobal-xl", "fp32"), ("google/pegasus-x-base", "fp16")):
        plain, nf4 = (predict(name, length=16384, dtype=dtype, quantization=q)["total"] for q in (None, "nf4"))
        saved[name] = (plain - nf4) / 2**30
    assert saved["google/long-t5-tglobal-xl"] > 5
    assert saved["google/pegasus-x-base"] < 0.5
