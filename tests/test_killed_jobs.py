"""A job that is killed again and again and resumed loses nothing and has nothing twice, as `benchmarks.killed_jobs`."""

from benchmarks.killed_jobs import make_documents, rows_of, run_job, run_killed

DOCUMENTS, KILLS = 160, 4


def test_killed_and_resumed_is_as_if_never_killed(tmp_path):
    source, whole, killed = tmp_path / "in", tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    make_documents(source, DOCUMENTS)
    extract = ("--model", "extract", "--max-new-tokens", "40")
    assert run_job(source, whole, *extract) == 1
    found = run_killed(source, killed, KILLS, *extract)
    assert found["exit_code"] == 1
    assert found["kills"] == KILLS
    rows = rows_of(killed)
    assert rows == rows_of(whole)
    assert len({row["id"] for row in rows}) == len(rows) == DOCUMENTS
    assert sum(row["error"] is not None for row in rows) == DOCUMENTS // 20
    assert not list(tmp_path.glob(".*.part"))
