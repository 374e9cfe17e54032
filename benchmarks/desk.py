"""What a person at a desk feels, beside an older checkout: the start, decoding, int8, ``--fast``; in turns.

``python -m benchmarks.desk CHECKOUT`` measures this tree and the one in CHECKOUT (``git worktree add CHECKOUT
bee34a5``), process by process, the sides in turns, threads waiting on both, and writes ``results/desk.json``. What is
compared is processor seconds: they hold on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import machine

HERE = Path(__file__).parent
FILE = HERE / "results" / "desk.json"
DOCUMENT = "longsum_lib/data/documents/prasamdor-survey.txt"
# Case -> the sides: which tree, and in which form the model is.
CASES = {
    "one beam": [("before", "fp32"), ("now", "fp32"), ("now", "int8"), ("before", "transformers")],
    "four beams": [("before", "fp32"), ("now", "fp32"), ("now", "int8")],
    "encoder": [("before", "fp32"), ("now", "fp32"), ("now", "bf16"), ("now", "int8")],
    "load": [("now", "fp32"), ("now", "int8")],
    "document": [("before", "fp32"), ("now", "int8")],
    "facts": [("now", "fp32"), ("now", "int8")],
}
ONCE = ("document", "load", "facts")
LAYERS = {
    "facts": (0, 1),
    "one beam": (1, 6),
    "four beams": (1, 6),
    "encoder": (2, 1),
    "load": (6, 6),
    "document": (6, 6),
}


def environment(tree: Path, threads: int) -> dict[str, str]:
    """Variables of one process: which library it finds, and threads that wait."""
    path = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **path, "HF_HUB_OFFLINE": "1"}


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
    command = [sys.executable, "-P", str(HERE / "desk_worker.py"), case, kind, folder]
    done = subprocess.run(
        command, env=environment(tree, threads), cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
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
            save_random(folder, case)
            for number in range(1 if case in ONCE else rounds):
                for side, kind in CASES[case]:
                    found = measure(trees[side], case, kind, folder, threads)
                    rows.append({"case": case, "side": side, "kind": kind, "round": number, **found})
                    print({name: value for name, value in rows[-1].items() if name != "ids"}, flush=True)
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Medians a case and side, and whether fp32 writes the same ids as before."""
    out: dict[str, dict[str, object]] = {}
    for row in rows:
        key = " ".join(str(row[name]) for name in ("case", "side", "kind") if name in row)
        same = [r for r in rows if all(r.get(n) == row.get(n) for n in ("case", "side", "kind"))]
        numbers = {name for name, value in row.items() if isinstance(value, int | float)} - {"round"}
        out[key] = {name: round(statistics.median(float(str(r[name])) for r in same), 2) for name in sorted(numbers)}
        if "ids" in row:
            first = next(r["ids"] for r in rows if r["case"] == row["case"] and r["side"] == "before")
            out[key]["same_ids"] = row["ids"] == first
    return out


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the older version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="*", default=["start", *CASES], choices=["start", *CASES])
    arguments = parser.parse_args()
    head = {
        "date": datetime.date.today().isoformat(),
        "before": "bee34a5, its cache under the name of transformers 5.24",
        "threads": arguments.threads,
    }
    result = {**head, "waiting": "passive", "machine": machine.describe(), "versions": machine.versions()}
    rows: list[dict[str, object]] = []
    for case in arguments.cases:
        rows += run(arguments.before.resolve(), arguments.rounds, [case], arguments.threads)
        shown = [{name: value for name, value in row.items() if name != "ids"} for row in rows]
        FILE.write_text(json.dumps(result | {"medians": summary(rows), "rows": shown}, indent=1) + "\n")
    result["medians"] = summary(rows)
    print(json.dumps(result["medians"], indent=1))


if __name__ == "__main__":
    main()
