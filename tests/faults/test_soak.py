"""A few of each fault that `make soak` plays; and what its longer runs have found."""

import errno
import io
import json
import os

import pytest
from command_runs import Run
from double_starts import start_together
from full_disks import fill_up
from kills import SIGNALS, kill_until_done, run_straight
from soak import added
from victims import make_victims

from benchmarks import contributing
from longsum_lib.errors import OptionError
from longsum_lib.evaluation import SummaryStore
from longsum_lib.generation.jobs.journal import Journal
from longsum_lib.places import append_whole, naming_full_disk


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Commands of each kind, with what they do undisturbed."""
    folder = tmp_path_factory.mktemp("soak")
    victims = make_victims(folder / "in")
    chosen = [victims["summarize --into --resume"][2], victims["evaluate --resume"][0]]
    return [(victim, run_straight(victim, folder / f"straight{number}")) for number, victim in enumerate(chosen)]


def test_kills_lose_nothing(played, tmp_path):
    for number, (victim, straight) in enumerate(played):
        tally = kill_until_done(victim, straight, 4 + number, tmp_path / f"{number}", most=3)
        assert tally.said == []
        assert tally.ends == 1


def test_signals_of_every_kind_are_sent():
    assert len(set(SIGNALS)) == 3


def test_of_several_starts_one_works(played, tmp_path):
    for number, (victim, straight) in enumerate(played):
        assert start_together(victim, straight, number, tmp_path / f"{number}") == []


def test_full_disks_are_named(played, tmp_path):
    for number, (victim, straight) in enumerate(played):
        met, wrong = fill_up(victim, straight, 1, tmp_path / f"{number}")
        assert met
        assert wrong == []


def test_the_harness_sees_what_is_lost(played, tmp_path):
    """A victim whose records vanish, and one whose results differ, are counted."""
    victim, straight = played[1]
    folder = tmp_path / "run"
    folder.mkdir()
    Run(list(victim.arguments), folder).end()
    assert victim.results(folder) == straight.results
    report = folder / "report.json"
    report.write_text(report.read_text().replace("learn", "other"))
    assert victim.results(folder) != straight.results
    assert len(victim.kept(folder)) == straight.kept
    (folder / "kept.jsonl").write_bytes((folder / "kept.jsonl").read_bytes()[:-1])
    assert len(victim.kept(folder)) == straight.kept - 1


def write(path, rows, **options):
    with Journal(path, path.with_name("lock"), {}, resume=True, **options) as journal:
        for number in rows:
            journal.add({"id": f"{number}", "key": f"k{number}", "summary": "ü"})


def test_a_journal_cut_anywhere_goes_on(tmp_path):
    path = tmp_path / "j"
    write(path, range(3))
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for length in (*range(12), *range(12, len(data), 7)):
        for filled in (data[:length], data[:length] + bytes(len(data) - length)):
            path.write_bytes(filled)
            with Journal(path, tmp_path / "lock", {}, resume=True) as journal:
                assert len(journal) == max(0, data[:length].count(b"\n") - 1)
            assert path.read_bytes().startswith(b"".join(lines[: data[:length].count(b"\n")]))


@pytest.mark.parametrize("content", [b"notes", bytes(20) + b"notes", b'{"runs": 1}\n'])
def test_a_journal_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(OptionError, match="is no journal of a job"):
        write(tmp_path / "j", [])
    assert (tmp_path / "j").read_bytes() == content


class Full(io.FileIO):
    """A file on a disk with room for three bytes more."""

    def write(self, data):
        if len(data) > 3:
            return super().write(data[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_all_of_a_line_or_nothing(tmp_path):
    (tmp_path / "x").write_bytes(b"before\n")
    with Full(tmp_path / "x", "ab") as file, pytest.raises(OSError, match="No space"):
        append_whole(file, b"12345")
    assert (tmp_path / "x").read_bytes() == b"before\n"


def test_what_could_not_be_written_is_not_counted(tmp_path, monkeypatch):
    store = SummaryStore(tmp_path / "s.jsonl", {})
    with monkeypatch.context() as patch:
        patch.setattr("longsum_lib.places.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="--resume goes on"):
            store.add("r", 0, "text", {"text": "summary"})
    assert len(store) == 0
    assert (tmp_path / "s.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.EFBIG, "File too large"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("PytorchStreamWriter failed writing file"), True),
        (RuntimeError("basic_ios::clear: iostream error"), True),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 1024 vs 917"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (OptionError("File too large for this option"), False),
    ],
)
def test_a_full_disk_has_a_name_whoever_met_it(tmp_path, error, named):
    with pytest.raises(OSError if named else type(error)) as caught, naming_full_disk(tmp_path, "--resume goes on"):
        raise error
    assert (caught.value is error) != named
    assert not named or (caught.value.filename == str(tmp_path) and "--resume goes on" in caught.value.strerror)


def test_pieces_add_up():
    row = {"part": "kills", "tried": 9, "lost": 1, "said": ["x"], "seeds": [1], "versions": {}}
    row["details"] = {"ends": 3, "longest_seconds": 2.0}
    both = added({**row, "seeds": [2], "said": [], "details": {"ends": 1, "longest_seconds": 1.0}}, row)
    assert both == {
        **row,
        "tried": 18,
        "lost": 2,
        "seeds": [1, 2],
        "details": {"ends": 4, "longest_seconds": 2.0},
    }
    with pytest.raises(SystemExit, match="another --seed"):
        added(row, row)


def test_contributing_has_the_last_figures():
    found = json.loads(contributing.RESULT.read_text(encoding="utf-8"))
    text = contributing.PAGE.read_text(encoding="utf-8")
    assert contributing.with_table(text, contributing.table(found)) == text
    assert contributing.BEGIN in text
    assert all(row["tried"] == row["held"] + row["lost"] for row in found["parts"])
