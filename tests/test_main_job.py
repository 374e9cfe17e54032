"""The main job as a user does it: a bundled document, the bundled model, a summary with the right facts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from longsum_lib.corpus import bundled_documents
from longsum_lib.corpus.world import DATA
from longsum_lib.evaluation import read_facts
from longsum_lib.generation.summarize import DEFAULT_MODEL
from longsum_lib.loading.checkpoint_files import bundled_models

ROOT = Path(__file__).resolve().parents[1]
# Of the eight key facts of the bundled document of 4,096 tokens.
FACTS_WANTED = 6


@pytest.fixture(scope="module")
def entry():
    return min(bundled_documents(), key=lambda entry: entry["tokens"])


@pytest.fixture(scope="module")
def result(entry):
    if DEFAULT_MODEL not in bundled_models():
        pytest.skip(f"{DEFAULT_MODEL} is not trained yet")
    return subprocess.run(
        [sys.executable, "-m", "longsum_lib", "summarize", DATA / "documents" / entry["file"], "--output", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_the_whole_document_is_read_without_a_word_on_standard_error(result, entry):
    said = [
        line for line in result.stderr.splitlines() if "prasamdor-survey.txt: " not in line and "loading" not in line
    ]
    assert (result.returncode, said) == (0, [])  # but for progress, a line every ten seconds on a busy machine
    fields = json.loads(result.stdout)
    assert fields["model"] == DEFAULT_MODEL
    assert entry["tokens"] <= fields["input_tokens"] <= entry["tokens"] + 2
    assert (fields["truncated"], fields["parts"], fields["complete"]) == (0, 1, True)
    assert 30 <= fields["summary_tokens"] <= 256


def test_the_summary_has_the_documents_facts(result, entry):
    summary = json.loads(result.stdout)["text"]
    found = read_facts(summary)
    right = [fact["slot"] for fact in entry["facts"] if found.get(fact["slot"]) == fact["value"]]
    assert f"the {entry['name']} survey" in summary
    assert len(right) >= FACTS_WANTED, summary


def test_the_document_is_of_the_models_world(entry):
    from longsum_lib.corpus import out_of_world

    text = (DATA / "documents" / entry["file"]).read_text()
    assert not out_of_world(text)
    assert out_of_world((ROOT / "README.md").read_text())
