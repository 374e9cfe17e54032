"""``make gpu`` without a GPU: that it runs, reports, and says what is missing."""

import importlib.metadata
import json

import torch

from tools.on_gpu import __main__ as on_gpu


def test_a_trial_run_on_the_cpu(tmp_path, capsys):
    words = ["--device", "cpu", "--small", "--into", str(tmp_path), "--only", "wait and led"]
    assert on_gpu.main([*words, "--parts", "tests", "benchmarks", "--seconds", "300"]) == 0
    report = (tmp_path / "cuda-cpu.md").read_text()
    assert "| tests | passed |" in report
    assert "| benchmarks | passed |" in report
    assert f"torch {importlib.metadata.version('torch')}" in report
    assert report in capsys.readouterr().out
    stored = json.loads((tmp_path / "cuda-cpu.json").read_text())
    for name in ("encoder", "training", "decoding", "folder"):
        recorded = {"longsum_lib, recorded steps"} if name == "decoding" else set()
        assert {row["program"] for row in stored[name]} == {"longsum_lib", "transformers"} | recorded
        assert all(row["ms"] > 0 for row in stored[name])
    assert all(row["documents_a_minute"] > 0 for row in stored["folder"])
    assert {row["program"] for row in stored["attention"]} == {"sdpa, all pairs", "blocked"}


def test_what_is_missing_is_named_and_skipped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(on_gpu, "run_benchmarks", None)
    assert on_gpu.main(["--device", "cpu", "--into", str(tmp_path), "--parts", "tests", "notebooks"]) == 0
    printed = capsys.readouterr().out
    assert "| tests | skipped: pytest is not installed |" in printed
    assert "| notebooks | skipped: matplotlib is not installed |" in printed


def test_a_part_that_fails_or_takes_too_long_is_told(tmp_path):
    failed = on_gpu.run("x", ["-c", "print('the reason'); raise SystemExit(3)"], 60, {})
    assert failed.outcome == "failed (exit code 3)"
    assert failed.lines == ["the reason"]
    late = on_gpu.run("x", ["-c", "import time; print('begun', flush=True); time.sleep(60)"], 2, {})
    assert late.outcome == "stopped after 2 s"
    assert late.lines == ["begun"]


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert on_gpu.main([]) == 2
    assert "finds no CUDA device here" in capsys.readouterr().out


def test_a_chosen_card_is_the_only_one():
    assert on_gpu.one_device("cuda", {"A": "b"}) == ("cuda", {"A": "b"})
    assert on_gpu.one_device("cuda:1", {}) == ("cuda", {"CUDA_VISIBLE_DEVICES": "1"})
    assert on_gpu.one_device("cuda:1", {"CUDA_VISIBLE_DEVICES": "3,5"}) == ("cuda", {"CUDA_VISIBLE_DEVICES": "5"})


def test_a_notebook_runs_without_jupyter(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# 1. x"]},
        {"cell_type": "code", "source": ["y = 2\n", "print(y + 1)"]},
    ]
    file = tmp_path / "a.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    done = on_gpu.run("x", ["-m", "tools.on_gpu.notebook", str(file)], 60, {"PYTHONPATH": str(on_gpu.ROOT)})
    assert done.lines == ["3"]


def test_a_notebook_runs_up_to_the_cell_that_needs_what_is_missing(tmp_path):
    sources = ["print('begun')", "import nothing_of_this_name", "print('not reached')"]
    cells = [{"cell_type": "code", "source": [source]} for source in sources]
    file = tmp_path / "a.ipynb"
    environment = {"PYTHONPATH": str(on_gpu.ROOT)}
    words = ["-m", "tools.on_gpu.notebook", str(file)]
    file.write_text(json.dumps({"cells": cells, "metadata": {"longsum": {"needs": ["nothing_of_this_name"]}}}))
    done = on_gpu.run("x", words, 60, environment)
    assert done.outcome == "passed up to cell 1, which needs nothing_of_this_name"
    assert "not reached" not in done.lines
    file.write_text(json.dumps({"cells": cells, "metadata": {"longsum": {"needs": ["json"]}}}))
    assert on_gpu.run("x", words, 60, environment).outcome == "failed (exit code 1)"


def test_figures_are_words_without_ipython(tmp_path):
    program = "from tools.on_gpu.notebook import show_as_text; show_as_text(); from longsum_lib import viz; "
    program += "from matplotlib.figure import Figure; viz.show(Figure(), alt='a bar', caption='It stands.')"
    done = on_gpu.run("x", ["-c", program], 60, {"PYTHONPATH": str(on_gpu.ROOT), "MPLBACKEND": "Agg"})
    assert done.lines == ["Figure: a bar"]
