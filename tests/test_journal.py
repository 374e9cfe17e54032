"""The journal of a job and a worker of a cluster, each by itself: what is kept, what is refused, what is shared out."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
import threading
import types

import pytest
from filelock import FileLock

from longsum_lib import summarize
from longsum_lib.errors import OptionError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.jobs import on_ray
from longsum_lib.generation.jobs.journal import Journal, key_of, last_run
from longsum_lib.generation.jobs.on_ray import Cluster, _shares, _Worker
from longsum_lib.generation.jobs.sources import Item, Reading
from longsum_lib.generation.jobs.work import Work


@pytest.fixture
def opened(tmp_path):
    """Open the journal of one job, again and again."""
    made = []

    def open_it(**options):
        made.append(Journal(tmp_path / "job.journal", tmp_path / "job.lock", {"model": "extract"}, **options))
        return made[-1]

    yield open_it
    for journal in made:
        journal.close()


def test_a_journal_finds_its_rows_again(opened):
    rows = [{"id": "a", "key": "1"}, {"id": "b", "key": "2", "summary": "ü"}, {"id": "c", "error": "empty"}]
    with opened() as journal:
        places = [journal.add(row) for row in rows]
        journal.own("hash of a table")
    with opened(resume=True) as journal:
        assert [journal.find_id(name) for name in "abcd"] == [*places, None]
        assert [journal.find(key) for key in "123"] == [*places[:2], None]  # an error is no summary
        assert list(journal.read_all(iter(places))) == [journal.read(place) for place in places] == rows
        assert (journal.keys(), len(journal), journal.results) == ({"1", "2"}, 2, {"hash of a table"})
        newer = journal.add({"id": "a", "key": "3"})
        assert (journal.find_id("a"), journal.find("1")) == (newer, places[0])


def test_a_line_that_was_cut_off_is_done_again(opened, tmp_path):
    with opened() as journal:
        kept = journal.add({"id": "a", "key": "1"})
    whole = (tmp_path / "job.journal").read_bytes()
    (tmp_path / "job.journal").write_bytes(whole + b'{"id": "b", "key": "2"')
    with opened(resume=True) as journal:
        assert (journal.find_id("a"), journal.find_id("b")) == (kept, None)
        journal.add({"id": "b", "key": "2"})
        assert journal.read(journal.find_id("b")) == {"id": "b", "key": "2"}


def test_who_has_a_journal_open_is_named(opened, tmp_path):
    opened()
    run = last_run(tmp_path / "job.journal")
    assert (run["process"], run["machine"], run["model"]) == (os.getpid(), platform.node(), "extract")
    with pytest.raises(OptionError) as error:
        opened(resume=True)
    who = f"process {os.getpid()} on {platform.node()}, since {run['started']}"
    assert str(error.value) == f"{tmp_path / 'job.journal'} is in use by {who}; wait for it, or choose another place"


def test_a_run_that_ended_is_not_told_to_have_the_journal(opened, tmp_path):
    """Who has just taken it says so a moment later; till then the last run in it is an earlier one."""
    opened().close()
    journal = tmp_path / "job.journal"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    earlier = journal.read_text().replace(f'"process": {os.getpid()}', f'"process": {ended.pid}')
    journal.write_text(earlier)
    with FileLock(tmp_path / "job.lock"):
        with pytest.raises(OptionError, match="is in use by another process; wait"):
            opened(resume=True)
        said = threading.Timer(0.1, lambda: journal.write_text(earlier.replace(str(ended.pid), str(os.getpid()))))
        said.start()
        with pytest.raises(OptionError, match=rf"is in use by process {os.getpid()} on "):
            opened(resume=True)
        said.join()
        journal.write_text(earlier.replace(f'"machine": "{platform.node()}"', '"machine": "elsewhere"'))
        with pytest.raises(OptionError, match=rf"is in use by process {ended.pid} on elsewhere"):
            opened(resume=True)


def test_an_earlier_run_is_gone_on_with_or_thrown_away_when_that_is_said(opened, tmp_path):
    with opened() as journal:
        journal.add({"id": "a", "key": "1"})
    with pytest.raises(OptionError) as error:
        opened()
    ways = "resume=True goes on with it, force=True starts again, or choose another place"
    assert str(error.value) == f"{tmp_path / 'job.journal'} is of an earlier run; {ways}"
    with opened(force=True) as journal:
        assert (len(journal), journal.find_id("a")) == (0, None)
    assert b'"a"' not in (tmp_path / "job.journal").read_bytes()


def test_a_key_is_of_content_and_options():
    text = DocumentText("One.\n\nTwo.", name="a")
    other_pages = DocumentText("One.\n\nTwo.", (0, 6), "a")
    keys = [key_of(text, "x"), key_of(text, "y"), key_of(other_pages, "x"), key_of(DocumentText("One."), "x")]
    assert len({*keys}) == 4
    assert key_of(dataclasses.replace(text, name="b"), "x") == keys[0]
    assert all(len(key) == 32 for key in keys)


# --- a cluster, without one -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "cluster", "expected"),
    [
        ({"CPU": 8.0}, Cluster(), (4, 2.0)),  # one for every two cores
        ({"CPU": 8.0}, Cluster(workers=3), (3, 2.0)),
        ({"CPU": 1.0}, Cluster(), (1, 1.0)),
        ({"CPU": 2.0}, Cluster(workers=5), (5, 1.0)),
        ({"CPU": 8.0, "GPU": 4.0}, Cluster(gpus_per_worker=2), (2, 1.0)),
        ({"CPU": 8.0, "GPU": 1.0}, Cluster(gpus_per_worker=0.25), (4, 1.0)),
        ({"CPU": 8.0, "GPU": 4.0}, Cluster(workers=3, gpus_per_worker=1), (3, 1.0)),
    ],
)
def test_what_a_cluster_has_is_shared_out(there, cluster, expected):
    assert _shares(types.SimpleNamespace(cluster_resources=lambda: there), cluster) == expected


def test_a_cluster_without_enough_gpus_is_said():
    ray = types.SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 1.0})
    with pytest.raises(OptionError, match="the cluster has 1 GPUs, a worker takes 2"):
        _shares(ray, Cluster(gpus_per_worker=2))


def test_a_worker_gives_a_row_for_every_reference(tmp_path):
    text = "It rained. The survey of the coast found seven wrecks. Nobody had counted them before."
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "done.txt").write_text("This one is done. It was summarized before.")
    worker = _Worker.__new__(_Worker)
    worker.work, worker.reading, worker.options = Work("extract", "led-tiny", {}), Reading(), "options"
    worker.done = frozenset([key_of(DocumentText("This one is done. It was summarized before."), "options")])
    worker.evidence = lambda document, summary: ({"passages": 1}, "1. a passage")
    files = [Item(name, str(tmp_path / name)) for name in ("a.txt", "missing.txt", "done.txt")]
    items = [*files, Item("copy", text=text)]
    references = [{"number": 10 + n, "item": json.dumps(dataclasses.asdict(item))} for n, item in enumerate(items)]
    rows = {number: (row, said) for number, row, said in worker._rows(references)}
    assert {number: row["id"] for number, (row, _) in rows.items()} == {
        10: "a.txt", 11: "missing.txt", 12: "done.txt", 13: "copy"
    }  # fmt: skip
    first, said = rows[10]
    assert first["summary"] == summarize(text, "extract").text
    assert (first["passages"], said) == (1, f"{first['summary']}\n\n1. a passage")
    assert rows[13][0] == {**first, "id": "copy"}
    assert "missing.txt" in rows[11][0]["error"]
    assert rows[12] == ({"id": "done.txt", "key": next(iter(worker.done))}, "")


@pytest.mark.parametrize("model", [None, "extract"])
def test_a_job_that_chooses_by_the_text_cannot_be_told_anyway(model):
    with pytest.raises(OptionError) as error:
        Work(model, "led-tiny", {"anyway": True}).check()
    assert str(error.value) == "anyway lets a bundled model write about any text; name the model"


@pytest.mark.parametrize("option", [{"dtype": "bf16"}, {"quantization": "nf4"}])
def test_fast_chooses_the_format_of_a_job_by_itself(option):
    with pytest.raises(OptionError, match="fast chooses the number format"):
        Work("led-tiny", "led-tiny", {"fast": True, **option}).check()


def test_standard_input_cannot_go_to_a_cluster():
    with pytest.raises(OptionError, match="standard input cannot be read by other machines"):
        list(on_ray._references([Item("-", "-")]))
    assert [item.id for item in on_ray._references([Item("a", "a.txt"), Item("b", text="B.")])] == ["a", "b"]
