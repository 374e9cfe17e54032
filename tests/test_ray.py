"""A job on a local Ray cluster gives what it gives in this process, also where a worker dies and where it is killed.

Ray is no part of the test environment; CI's weekly run installs it.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.killed_jobs import command, make_documents, rows_of, run_job

pytest.importorskip("ray")
ON_RAY = ("--engine", "ray", "--workers", "2")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """60 documents of all kinds, three of them broken, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("ray")
    make_documents(folder / "in", 60)
    assert run_job(folder / "in", folder / "here.jsonl") == 1
    return folder, rows_of(folder / "here.jsonl")


def test_a_cluster_gives_the_same_rows(documents):
    folder, here = documents
    assert run_job(folder / "in", folder / "there.jsonl", *ON_RAY) == 1
    there = rows_of(folder / "there.jsonl")
    assert there == here
    assert len([row for row in there if row["error"]]) == 3


def test_a_worker_that_dies_costs_nothing(documents, tmp_path):
    folder, here = documents
    into = tmp_path / "killed.jsonl"
    job = subprocess.Popen(command(folder / "in", into, *ON_RAY), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    killed = wait_and_kill(lambda: workers_of(job.pid), job)
    _, said = job.communicate(timeout=500)
    assert killed, said
    assert job.returncode == 1, said
    assert rows_of(into) == here


def test_a_job_that_is_killed_goes_on(documents, tmp_path):
    folder, here = documents
    into = tmp_path / "driver.jsonl"
    job = subprocess.Popen(command(folder / "in", into, *ON_RAY), cwd=ROOT, stderr=subprocess.DEVNULL)
    journal = into.with_name(into.name + ".journal")
    end = time.monotonic() + 300
    while time.monotonic() < end and not (journal.exists() and len(journal.read_bytes().splitlines()) > 20):
        time.sleep(0.2)
    job.kill()
    job.wait()
    assert not into.exists()
    done = len([line for line in journal.read_text().splitlines() if '"key"' in line])
    assert done >= 10
    assert run_job(folder / "in", into, "--resume", *ON_RAY) == 1
    assert rows_of(into) == here
    about = json.loads(into.with_name(into.name + ".run.json").read_text())
    assert about["reused"] >= done - 1


def workers_of(pid):
    """Processes that hold the model and work, among all that a process has started."""
    import psutil

    found = []
    with contextlib.suppress(psutil.Error):  # one may end while it is looked at
        for one in psutil.Process(pid).children(recursive=True):
            if "_Worker" in " ".join(one.cmdline()) and one.cpu_times().user > 4:
                found.append(one)
    return found


def wait_and_kill(find, job):
    """Kill one of the processes as soon as it is there and works."""
    end = time.monotonic() + 300
    while time.monotonic() < end and job.poll() is None:
        for one in find():
            os.kill(one.pid, signal.SIGKILL)
            return True
        time.sleep(0.1)
    return False
