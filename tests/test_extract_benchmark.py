"""The programs that measure extracts: documents, other rankers, stored results."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import documents, extract, rankers
from longsum_lib.corpus import make_document
from longsum_lib.datasets import Source
from longsum_lib.evaluation import score_all
from longsum_lib.evaluation.report import format_table

MARKDOWN = """\
## Results {.page_break}

We found *two* things [@doi:10.1/x; @y], see [the map](https://example.org "A map").
<!-- hidden
text -->
![A **figure** with (brackets)](f.png){#fig:a width="50%"}

| a | b |
|---|---|

The `code` stays\\_here.
"""
RST = """\
Data
====

See :pep:`484`, :func:`print`, `a page <https://example.org>`__ and ``x`` [1]_.

.. note:: hidden

   and this

Shown.
"""


def test_marks_are_taken_away():
    assert documents.plain_markdown(MARKDOWN) == (
        "Results\n\nWe found two things, see the map.\n\nThe code stays_here.\n"
    )
    assert documents.plain_rst(RST) == "Data\n\nSee PEP 484, print, a page and x.\n\nShown.\n"


def test_the_index_names_what_can_be_had_and_may_be_used():
    entries = documents.entries()
    assert len({entry["name"] for entry in entries}) == len(entries)
    assert len(documents.entries("report")) >= 10
    assert not {e["name"] for e in documents.entries("report")} & {e["name"] for e in documents.entries("tune")}
    for entry in entries:
        assert entry["licence"] in ("CC-BY-4.0", "CC0-1.0", "public domain")
        assert entry["title"]
        assert entry["authors"]
        assert len(entry["commit"]) == 40
        assert len(entry["sha256"]) == len(entry["abstract"] + entry["body"])


def test_a_missing_or_changed_file_is_named(tmp_path):
    entry = documents.entries()[0]
    with pytest.raises(ValueError, match=r"is missing; get the documents with: python -m benchmarks\.documents"):
        documents.read(tmp_path, entry)
    path = tmp_path / entry["repository"].replace("/", "+") / entry["abstract"][0]
    path.parent.mkdir(parents=True)
    path.write_text("something else")
    with pytest.raises(ValueError, match="is not the file that was measured"):
        documents.read(tmp_path, entry)


def test_documents_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    data = b"# Abstract\n\nWe found it."
    entry = {
        "name": "x",
        "use": "report",
        "repository": "a/b",
        "commit": "c" * 40,
        "abstract": ["x.md"],
        "body": ["x.md"],
    }
    index = tmp_path / "index.json"
    index.write_text(json.dumps([entry | {"sha256": [hashlib.sha256(data).hexdigest()] * 2}]))
    served = tmp_path / "served" / "a" / "b" / entry["commit"] / "x.md"
    served.parent.mkdir(parents=True)
    served.write_bytes(data)
    monkeypatch.setattr(documents, "INDEX", index)
    monkeypatch.setattr(documents, "ADDRESS", (tmp_path / "served").as_uri() + "/{repository}/{commit}/{file}")
    documents.download(tmp_path / "here")
    served.unlink()
    documents.download(tmp_path / "here")
    example = documents.read(tmp_path / "here", documents.entries()[0])
    assert (example.abstract, example.text) == ("We found it.\n", "Abstract\n\nWe found it.\n")


@pytest.mark.parametrize("name", list(rankers.RANKERS))
def test_rankers_give_sentences_of_the_text_within_the_room(name):
    text = make_document(5, 700, "train").text
    found = rankers.RANKERS[name](text, 60).splitlines()
    assert len(found) >= 2
    assert sum(map(rankers.count_words, found)) <= 60
    places = [text.index(sentence) for sentence in found]
    assert places == sorted(places)


def test_the_walk_of_the_other_rankers_is_stationary():
    edges = np.random.default_rng(0).random((6, 6))
    edges[3] = 0  # a sentence without neighbours
    rank = rankers._walk(edges)
    sums = edges.sum(1, keepdims=True)
    steps = np.where(sums > 0, edges / np.where(sums > 0, sums, 1), 1 / 6)
    np.testing.assert_allclose(rank, 0.15 / 6 + 0.85 * steps.T @ rank, atol=1e-7)
    assert rank.sum() == pytest.approx(1)


def test_the_extract_is_a_baseline_of_evaluate():
    examples = list(Source(length=512, split="test", first_seed=1000).examples(3))
    report = score_all(examples, [example.summary for example in examples], lead_sentences=4)
    report |= {"documents": 3, "length": 512}
    assert list(report["baselines"]) == ["reference", "lead", "extract", "oracle"]
    assert report["baselines"]["extract"]["sentences"] == 4
    assert report["baselines"]["extract"]["values"]["share"] > report["baselines"]["lead"]["values"]["share"]
    assert "| extract, 4 sentences |" in format_table([report])


def test_stored_results_keep_what_is_said_of_them():
    """Ahead of the first sentences in ROUGE-1, -2 and -Lsum on seven of ten documents; twice their key facts."""
    stored = [json.loads(Path(path).read_text(encoding="utf-8")) for path in extract.RESULTS]
    assert stored[0] == stored[1]
    assert [row["document"] for row in stored[0]["extract_documents"]] == [
        entry["title"] for entry in documents.entries("report")
    ]
    scored = [row["scores"] for row in stored[0]["extract_documents"]]
    for row in stored[0]["extract_ahead"]:
        assert row == {"beside": row["beside"], "documents": len(scored)} | extract._ahead(scored, row["beside"])
    assert stored[0]["extract_ahead"][0]["beside"] == "lead"
    assert min(stored[0]["extract_ahead"][0][name] for name in extract.COMPARED) >= 0.7 * len(scored) >= 7
    facts = {(row["length"], row["method"]): row["facts"] for row in stored[0]["extract_corpus"]}
    for length in extract.CORPUS_LENGTHS:
        assert facts[length, "extract"] > 2 * facts[length, "lead"]
    seconds = {row["pages"]: row for row in stored[0]["extract_seconds"]}
    assert seconds[30]["function_seconds"] < 1
    assert seconds[60]["command_seconds"] < 5
