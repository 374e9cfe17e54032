"""Number formats of weights beside fp32 on this processor: the encoder and a written token, in turns.

``python -m benchmarks.formats NAME`` writes ``results/formats-NAME.json``. With ``--before CHECKOUT`` an older
version's int8 takes its turn too. What is compared is processor seconds, as in ``benchmarks.desk``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from pathlib import Path

from . import desk, machine

HERE = Path(__file__).parent
CASES = {
    "encoder": ("fp32", "bf16", "int8"),
    "token of one beam": ("fp32", "bf16", "int8", "nf4"),
    "token of four beams": ("fp32", "int8"),
}
NOTE = (
    "LED of base width with random weights: its encoder (two layers, 8,192 tokens), and one token of a summary with "
    "one beam (4,096 tokens) and with four (16,384). int8: weights in 8 bits, the rest in bf16. Processes take turns; "
    "ratios above 1 are less processor time than fp32, or than the older version."
)


def sides_of(case: str, before: Path | None) -> list[tuple[Path, str, str]]:
    """Trees, their names and the formats that a case measures."""
    now = [(HERE.parent, "now", kind) for kind in CASES[case]]
    return now if before is None else [*now, (before, "before", "int8")]


def run(case: str, rounds: int, threads: int, before: Path | None) -> list[dict[str, object]]:
    """Measure a case, its sides in turns."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        desk.save_random(folder, case)
        for number in range(rounds):
            for tree, side, kind in sides_of(case, before):
                found = desk.measure(tree, case, kind, folder, threads)
                rows.append({"case": case, "side": side, "kind": kind, "round": number, **found})
                print(rows[-1], flush=True)
    return rows


def comparisons() -> list[tuple[str, str, str, str, float | None]]:
    """What is compared: the case, its column, two sides, and that nothing is aimed at."""
    found: list[tuple[str, str, str, str, float | None]] = []
    for case, kinds in CASES.items():
        column = "cpu_s" if case == "encoder" else "cpu_ms"
        found += [(case, column, "now fp32", f"now {kind}", None) for kind in kinds[1:]]
        found.append((case, column, "before int8", "now int8", None))
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the file: formats-NAME.json")
    parser.add_argument("--title", default="Number formats beside fp32")
    parser.add_argument("--before", type=Path, help="a checkout of an older version")
    parser.add_argument("--before-commit", help="its commit, for the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    arguments = parser.parse_args()
    before = arguments.before and arguments.before.resolve()
    head = {"title": arguments.title, "note": NOTE, "date": datetime.date.today().isoformat()}
    head |= {"before": arguments.before_commit} if before else {}
    head |= {"threads": arguments.threads, "waiting": "passive"}
    result = {**head, "machine": machine.describe(), "versions": machine.versions()}
    rows: list[dict[str, object]] = []
    for case in arguments.cases:
        rows += run(case, arguments.rounds, arguments.threads, before)
        tables = {"desk_ratios": desk.beside_each_other(rows, comparisons()), "desk_sides": desk.sides(rows)}
        path = HERE / "results" / f"formats-{arguments.name}.json"
        path.write_text(json.dumps(result | tables | {"rows": rows}, indent=1) + "\n")
    print(json.dumps(desk.beside_each_other(rows, comparisons()), indent=1))


if __name__ == "__main__":
    main()
