"""``make gpu``: tests, benchmarks and notebooks on the GPU at hand, within nine minutes, without network.

It uses the Python that it finds and installs nothing. What is missing is named, and its part skipped. Everything
ends in a report, ``cuda-NAME.md``, and the figures in ``cuda-NAME.json`` beside it; ``benchmarks/results`` by default.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

LACKING = "lacking:"  # a line that begins so says what a part did without
ROOT = Path(__file__).resolve().parents[2]
PARTS = {"tests": 0.5, "benchmarks": 0.35, "notebooks": 0.15}
"""What is run, and which share of the time it may take."""
NOTEBOOKS = ("15_summarize_on_a_gpu", "16_quantization", "17_fine_tuning")
USED = ("torch", "transformers", "safetensors", "sentencepiece", "lazy_loader", "pytest", "peft")
USED += ("bitsandbytes", "accelerate", "matplotlib", "ipython")
LINES = 40  # of what a part says last


@dataclass
class Part:
    """What came of one part."""

    name: str
    outcome: str
    seconds: float
    lines: list[str] = field(default_factory=list)


def run(name: str, words: list[str], seconds: float, environment: dict[str, str]) -> Part:
    """Run a Python module in a process of its own, for a time at most; keep the last lines of what it says."""
    start = time.monotonic()
    command = [sys.executable, *words]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=seconds
        )
        outcome = "passed" if done.returncode == 0 else f"failed (exit code {done.returncode})"
        text = done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        outcome = f"stopped after {seconds:.0f} s"
        said = [part for part in (late.stdout, late.stderr) if part]
        text = "".join(part if isinstance(part, str) else part.decode(errors="replace") for part in said)
    lines = [line for line in text.splitlines() if line.strip()]
    if done_without := [line for line in lines if line.startswith(LACKING)]:
        outcome += f" {done_without[0].removeprefix(LACKING).strip()}"
    return Part(name, outcome, time.monotonic() - start, lines[-LINES:])


def device_name(device: str) -> str:
    """Return the card's name as a file may have it.

    Example:
        >>> device_name("cpu")
        'cpu'
    """
    if device == "cpu":
        return "cpu"
    import torch

    return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower()).strip("-")


def one_device(device: str, environment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Let what is run see the chosen card alone, as ``cuda``: events, waits and counters are of the current device.

    Example:
        >>> one_device("cuda:1", {})
        ('cuda', {'CUDA_VISIBLE_DEVICES': '1'})
        >>> one_device("cuda:0", {"CUDA_VISIBLE_DEVICES": "3,5"})
        ('cuda', {'CUDA_VISIBLE_DEVICES': '3'})
    """
    kind, _, number = device.partition(":")
    if not number:
        return device, environment
    visible = [one.strip() for one in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    chosen = visible[int(number)] if visible != [""] else number
    return kind, environment | {"CUDA_VISIBLE_DEVICES": chosen}


def run_all(options: argparse.Namespace, name: str) -> list[Part]:
    """Run the chosen parts; each gets its share of what is left."""
    end = time.monotonic() + options.seconds
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # packages may be carried
    environment = os.environ | {"PYTHONPATH": places, "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "COLUMNS": "200"}
    options.device, environment = one_device(options.device, environment)
    if options.device == "cpu":
        environment["LONGSUM_GPU"] = "pretended"
    done: list[Part] = []
    for number, part in enumerate(options.parts):
        rest = sum(PARTS[other] for other in options.parts[number:])
        seconds = (end - time.monotonic()) * PARTS[part] / rest
        done += RUNNERS[part](options, name, seconds, environment)
        print(f"{part}: {done[-1].outcome}, {done[-1].seconds:.0f} s", flush=True)
        # After each part: a machine that is taken away leaves what was found.
        (options.into / f"cuda-{name}.md").write_text(report(name, done), encoding="utf-8")
    return done


def run_tests(options: argparse.Namespace, name: str, seconds: float, environment: dict[str, str]) -> list[Part]:
    """The tests marked ``gpu``, with pytest alone."""
    if importlib.util.find_spec("pytest") is None:
        return [Part("tests", "skipped: pytest is not installed", 0.0)]
    words = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--no-header", "tests/gpu"]
    words += ["-rfE", "--tb=short", "--durations=10"]
    words += ["tests/test_kernels_cuda.py"] * (options.device != "cpu") + ["-k", options.only] * bool(options.only)
    return [run("tests", words, seconds, environment)]


def run_benchmarks(options: argparse.Namespace, name: str, seconds: float, environment: dict[str, str]) -> list[Part]:
    """Times and memory beside transformers."""
    words = ["-m", "benchmarks.cuda", "--device", options.device, "--seconds", f"{0.8 * seconds:.0f}"]
    words += ["--output", str(options.into / f"cuda-{name}.json")] + ["--small"] * options.small
    return [run("benchmarks", words, seconds, environment)]


def run_notebooks(options: argparse.Namespace, name: str, seconds: float, environment: dict[str, str]) -> list[Part]:
    """The chapters that use a GPU."""
    if importlib.util.find_spec("matplotlib") is None:
        return [Part("notebooks", "skipped: matplotlib is not installed", 0.0)]
    end, done = time.monotonic() + seconds, []
    for chapter in NOTEBOOKS[:1] if options.small else NOTEBOOKS:
        words = ["-m", "tools.on_gpu.notebook", f"notebooks/{chapter}.ipynb"]
        done.append(run(f"notebook {chapter}", words, max(1.0, end - time.monotonic()), environment))
    return done


RUNNERS = {"tests": run_tests, "benchmarks": run_benchmarks, "notebooks": run_notebooks}


def versions() -> str:
    """Return one line: what is installed, and what is not."""
    found = []
    for package in USED:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} missing")
    return f"Python {sys.version.split()[0]}, {', '.join(found)}"


def report(name: str, parts: list[Part]) -> str:
    """Return the report: a table of the parts, then the last lines of each."""
    rows = [f"| {part.name} | {part.outcome} | {part.seconds:.0f} |" for part in parts]
    ends = [f"## {part.name}\n\n```text\n" + "\n".join(part.lines) + "\n```\n" for part in parts if part.lines]
    head = [f"# On {name}", "", versions(), "", "| part | outcome | seconds |", "|---|---|---|", *rows, "", *ends]
    return "\n".join(head)


def main(arguments: list[str] | None = None) -> int:
    """Run; return 0 if every part passed or was skipped for want of a package."""
    parser = argparse.ArgumentParser(prog="python -m tools.on_gpu", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    add("--only", metavar="WORDS", help="tests whose names fit, as pytest's -k")
    add("--seconds", type=float, default=530, help="all in all (default: 530)")
    add("--device", default="cuda", help="cuda, cuda:1, or cpu: a trial run that proves nothing of a GPU")
    add("--small", action="store_true", help="small sizes, one notebook")
    add("--into", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    options = parser.parse_args(arguments)
    if options.device != "cpu":
        import torch

        if not torch.cuda.is_available():
            print(f"torch {torch.__version__} finds no CUDA device here; --device cpu is a trial run without one")
            return 2
    options.into = options.into.resolve()
    options.into.mkdir(parents=True, exist_ok=True)
    name = device_name(options.device)
    parts = run_all(options, name)
    print(report(name, parts))
    return int(any(not part.outcome.startswith(("passed", "skipped")) for part in parts))


if __name__ == "__main__":
    sys.exit(main())
