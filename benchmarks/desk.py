"""What a person at a desk feels, beside an older checkout: the start, decoding, int8, ``--fast``; in turns.

``python -m benchmarks.desk CHECKOUT`` measures this tree and the one in CHECKOUT (``git worktree add CHECKOUT
bee34a5``), process by process, the sides in turns, threads waiting on both, and writes ``results/desk.json``. What is
compared is processor seconds: they hold on a machine that does other work too. Only beside two busy processes it is the
clock, and there each side waits as it does when nobody has set anything: the older one spins, the newer one as the
command lets it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from longsum_lib.upstream.openmp import SPINS

from . import machine

HERE = Path(__file__).parent
FILE = HERE / "results" / "desk.json"
DOCUMENT = "longsum_lib/data/documents/prasamdor-survey.txt"
# Case -> the sides: which tree, and in which form the model is.
CASES = {
    "one beam": [
        ("before", "fp32"),
        ("now", "fp32"),
        ("now", "int8"),
        ("before", "transformers"),
        ("now", "nf4"),
        ("now", "nf4 beside bf16"),
    ],
    "four beams": [("before", "fp32"), ("now", "fp32"), ("now", "int8")],
    "encoder": [("before", "fp32"), ("now", "fp32"), ("now", "bf16"), ("now", "int8")],
    "one beam, beside others": [("before", "fp32"), ("now", "fp32")],
    "encoder, beside others": [("before", "fp32"), ("now", "fp32")],
    "load": [("now", "fp32"), ("now", "int8")],
    "document": [("before", "fp32"), ("now", "int8")],
    "transient-global": [("before", "fp32"), ("now", "fp32")],
    "facts": [("now", "fp32"), ("now", "int8")],
}
MOST_ROUNDS = {"load": 1, "facts": 1, "document": 2, "transient-global": 2}  # those that take minutes each
LAYERS = {
    "facts": (0, 1),
    "one beam": (1, 6),
    "four beams": (1, 6),
    "token of one beam": (1, 6),
    "token of four beams": (1, 6),
    "encoder": (2, 1),
    "load": (6, 6),
    "document": (6, 6),
}
NOTE = (
    "What a person at a desk feels, beside an older version of this library: the command's start, one token of "
    "LED-base, its encoder, a document to its summary. LED-base has random weights; its cases read 4,096 tokens (one "
    "beam), 8,192 (encoder) or 16,384. Processes take turns; CPU seconds hold on a machine that does other work too, "
    "seconds by the clock do not."
)
# What is compared: the case, its column, the two sides, and the factor that is aimed at.
AIMS = (
    ("start", "cpu_s", "before", "now", 2.0),
    ("start", "peak_mib", "before", "now", 1 / 0.75),
    ("one beam", "cpu_ms", "before fp32", "now fp32", 1.2),
    ("one beam", "cpu_ms", "before transformers", "now fp32", 1.3),
    ("one beam", "cpu_ms", "before fp32", "now int8", 1.9),
    ("one beam", "cpu_ms", "now fp32", "now nf4", 1.0),
    ("one beam", "cpu_ms", "now fp32", "now nf4 beside bf16", 1.0),
    ("four beams", "cpu_ms", "before fp32", "now fp32", 1.2),
    ("document", "cpu_s", "before fp32", "now int8", 1.8),
    ("encoder", "cpu_s", "before fp32", "now fp32", None),
    ("encoder", "cpu_s", "before fp32", "now bf16", 2.8),
    ("one beam, beside others", "clock_ms", "before fp32", "now fp32", 4.0),
    ("encoder, beside others", "clock_s", "before fp32", "now fp32", 1.7),
    ("transient-global", "cpu_s", "before fp32", "now fp32", 1.5),
)


def environment(tree: Path, threads: int, waiting: dict[str, str] | None = None) -> dict[str, str]:
    """Variables of one process: which library it finds, and how its threads wait (by default they sleep)."""
    path = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    clean = {name: value for name, value in os.environ.items() if name not in (*SPINS, "OMP_WAIT_POLICY")}
    return {**clean, **path, **({"OMP_WAIT_POLICY": "PASSIVE"} if waiting is None else waiting)}


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy with nothing while the block runs."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def start(tree: Path) -> dict[str, float]:
    """The whole command on a bundled document: processor seconds and peak memory of its process."""
    command = [sys.executable, "-m", "longsum_lib", "summarize", str(tree / DOCUMENT), "--model", "led-tiny"]
    clock = time.perf_counter()
    child = subprocess.Popen(command, env=environment(tree, 1), cwd=tree, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the command ended with {child.returncode} in {tree.name}")
    seconds = usage.ru_utime + usage.ru_stime
    clock = time.perf_counter() - clock
    return {"cpu_s": round(seconds, 2), "clock_s": round(clock, 2), "peak_mib": round(usage.ru_maxrss / 1024)}


def measure(tree: Path, case: str, kind: str, folder: str, threads: int) -> dict[str, object]:
    """Run one measurement in a process of its own."""
    work, _, beside = case.partition(", ")
    command = [sys.executable, "-P", str(HERE / "desk_worker.py"), work, kind, folder]
    waiting = None if not beside else SPINS if tree == HERE.parent else {}
    with busy(2) if beside else contextlib.nullcontext():
        done = subprocess.run(
            command,
            env=environment(tree, threads, waiting),
            cwd=tree,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def save_random(folder: str, case: str) -> None:
    """Save the model of a case, for the forms that are made while loading."""
    worker = f"import runpy; make = runpy.run_path({str(HERE / 'desk_worker.py')!r})['make']; "
    program = worker + f"make('fp32', *{LAYERS[case]}).save_pretrained({folder!r})"
    subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment(HERE.parent, 1), check=True, capture_output=True
    )


def run(before: Path, rounds: int, cases: list[str], threads: int) -> list[dict[str, object]]:
    """Measure everything, the sides in turns."""
    trees, rows = {"before": before, "now": HERE.parent}, []
    if "start" in cases:
        for tree in trees.values():  # what Python compiles at first is no part of it
            start(tree)
        for number in range(rounds):
            rows += [{"case": "start", "side": s, "round": number, **start(tree)} for s, tree in trees.items()]
    for case in (case for case in CASES if case in cases):
        with tempfile.TemporaryDirectory() as folder:
            if case in LAYERS:
                save_random(folder, case)
            wanted: object = None
            for number in range(min(rounds, MOST_ROUNDS.get(case, rounds))):
                for side, kind in CASES[case]:
                    found = measure(trees[side], case, kind, folder, threads)
                    if "ids" in found:
                        ids = found.pop("ids")
                        wanted = ids if (side, kind) == CASES[case][0] else wanted
                        found["same_ids"] = ids == wanted
                    rows.append({"case": case, "side": side, "kind": kind, "round": number, **found})
                    print(rows[-1], flush=True)
    return rows


def sides(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Median, lowest and highest value of each case and side, and whether it writes the same ids as the first side."""
    out: dict[str, dict[str, object]] = {}
    for row in rows:
        key = f"{row['case']} {_side(row)}"
        same = [r for r in rows if all(r.get(n) == row.get(n) for n in ("case", "side", "kind"))]
        numbers = {name for name, value in row.items() if type(value) in (int, float)} - {"round"}
        out[key] = {"work": row["case"], "program": _side(row), "rounds": len(same)}
        for name in sorted(numbers):
            values = [float(str(r[name])) for r in same]
            middle, low, high = (round(f(values), 2) for f in (statistics.median, min, max))
            out[key] |= {name: middle, f"{name}_low": low, f"{name}_high": high}
        if "same_ids" in row:
            out[key]["same_ids"] = all(r["same_ids"] for r in same)
    return list(out.values())


def beside_each_other(
    rows: list[dict[str, object]], pairs: Sequence[tuple[str, str, str, str, float | None]] = AIMS
) -> list[dict[str, object]]:
    """Compare the sides round by round: median, lowest and highest ratio, beside what is aimed at."""
    found = []
    for case, column, first, second, aim in pairs:
        sides = [
            {r["round"]: float(str(r[column])) for r in rows if r["case"] == case and _side(r) == side and column in r}
            for side in (first, second)
        ]
        ratios = [sides[0][number] / sides[1][number] for number in sides[0] if number in sides[1]]
        if ratios:
            middle, low, high = (round(f(ratios), 2) for f in (statistics.median, min, max))
            aimed = {} if pairs is not AIMS else {"aim": aim and round(aim, 2)}
            row = {"work": case, "measured": column, "from": first, "to": second, **aimed}
            found.append({**row, "times": middle, "low": low, "high": high, "rounds": len(ratios)})
    return found


def _side(row: dict[str, object]) -> str:
    return " ".join(str(row[name]) for name in ("side", "kind") if name in row)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the older version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--add", action="store_true", help="keep what is stored of these cases and add rounds to it")
    parser.add_argument("--cases", nargs="*", default=["start", *CASES], choices=["start", *CASES])
    arguments = parser.parse_args()
    head = {
        "title": "At the desk, beside an older version",
        "note": NOTE,
        "date": datetime.date.today().isoformat(),
        "before": "bee34a5, its cache under the name of transformers 5.24",
        "threads": arguments.threads,
    }
    head |= {"waiting": "passive on both sides; beside others: before as by default, now as the command sets it"}
    result = {**head, "machine": machine.describe(), "versions": machine.versions()}
    rows: list[dict[str, object]] = []
    if FILE.is_file():  # cases that are not measured now stay
        stored = json.loads(FILE.read_text())["rows"]
        rows = [row for row in stored if arguments.add or row["case"] not in arguments.cases]
    for case in arguments.cases:
        done = 1 + max((int(str(row["round"])) for row in rows if row["case"] == case), default=-1)
        found = run(arguments.before.resolve(), arguments.rounds, [case], arguments.threads)
        rows += [{**row, "round": int(str(row["round"])) + done} for row in found]
        tables = {"desk_ratios": beside_each_other(rows), "desk_sides": sides(rows)}
        FILE.write_text(json.dumps(result | tables | {"rows": rows}, indent=1) + "\n")
    print(json.dumps(beside_each_other(rows), indent=1))


if __name__ == "__main__":
    main()
