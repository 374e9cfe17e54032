"""The page that helps to choose a model says what the library says."""

import re
from pathlib import Path

import pytest

from longsum_lib.models.registry import HUB_MODELS

PAGE = (Path(__file__).resolve().parents[1] / "book" / "choosing-a-model.md").read_text()
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
