"""Make one result of several runs: ``python -m benchmarks.merge RUN.json RUN.json … --output FILE``.

Runs are hours apart, on one machine with one set of versions. Of each case every run is kept under ``runs``; what
stands in the row, and so on the pages, is the run whose ratio to the other program is the lowest. The spread of times
is that of all rounds of all runs, the spread of ratios what the rounds of one run allow. What the machine can do is the
best that any run found. A file that was merged before counts with all its runs, so that a later run is added to it:
``python -m benchmarks.merge cpu.json NEW.json …``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .run import save
from .tables import KEYS, TABLES, derived, ratio_range

Row = dict[str, object]
# The column whose lowest value is the headline; of the last, the highest: the least that is saved.
LOWEST = ("times_faster", "times_faster_than_full", "times_faster_than_float32", "times_faster_than_flex")
RATES = ("matmul_gflops", "bfloat16_gflops", "bandwidth_gb_s", "read_gb_s")  # what the machine can do: the best of all
HIGHEST = ("fraction_of_transformers", "times_bound")


def merge(results: list[dict]) -> dict:
    """Merge result files.

    Args:
        results: what runs have written, the oldest first.

    Returns:
        A result file; its settings, machine and note are those of the newest run.

    Raises:
        ValueError: if the runs are of different machines, versions or settings.

    Example:
        >>> first, second = ({"summary": [{"seconds": s, "transformers_seconds": 6.0}]} for s in (2.0, 3.0))
        >>> merge([first, second])["summary"][0]["times_faster"]
        2.0
    """
    for name in ("machine", "versions", "settings"):
        kinds = {json.dumps(result.get(name), sort_keys=True) for result in results}
        if len(kinds) > 1:
            raise ValueError(f"the runs differ in {name}: {'; '.join(sorted(kinds))}; merge runs of one kind")
    merged = {name: value for name, value in results[-1].items() if name not in TABLES}
    merged["dates"] = [date for result in results for date in result.get("dates", [result.get("date")])]
    for table in TABLES:
        cases: dict[tuple, list[Row]] = {}
        for result in results:
            for row in derived(result).get(table, []):
                cases.setdefault(tuple(row.get(name) for name in KEYS), []).extend(_runs(row, result.get("date")))
        if cases:
            merged[table] = [_one(rows) for rows in cases.values()]
    return derived(merged)


def _runs(row: Row, date: object) -> list[Row]:
    """The runs of a row, each with its keys; the first of a merged one holds the spread of all."""
    runs = row.get("runs")
    if not isinstance(runs, list):
        return [{"date": date, **row}]
    same = {name: row[name] for name in row if name in KEYS}
    first, *others = ({**same, **run} for run in runs)
    return [first | ({"spread": row["spread"]} if row.get("spread") else {}), *others]


def _one(rows: list[Row]) -> Row:
    """The run with the lowest ratio, with all runs beside it."""
    chosen = dict(min(rows, key=_ratio))
    for row in rows:  # peaks of memory, which not every run takes
        chosen |= {name: value for name, value in row.items() if chosen.get(name) is None}
    chosen.pop("date")
    chosen |= {name: max(float(str(row[name])) for row in rows) for name in RATES if name in chosen}
    kept = [{name: row[name] for name in row if name not in (*KEYS, "spread")} for row in rows]
    spreads = [row["spread"] for row in rows if isinstance(row.get("spread"), dict)]
    if spreads:
        programs = [name for name in spreads[0] if name != "times_faster"]
        chosen["spread"] = {name: _spread([spread[name] for spread in spreads]) for name in programs}
        if "transformers" in programs:
            chosen["spread"]["times_faster"] = _within(spreads)
    return chosen | {"runs": [{name: value for name, value in run.items() if value is not None} for run in kept]}


def _ratio(row: Row) -> float:
    for name in LOWEST:
        if row.get(name) is not None:
            return float(str(row[name]))
    return max((-float(str(row[name])) for name in HIGHEST if row.get(name) is not None), default=0.0)


def _spread(spreads: list[dict]) -> dict:
    low, high = min(s["low"] for s in spreads), max(s["high"] for s in spreads)
    return {"low": low, "high": high, "rounds": sum(s["rounds"] for s in spreads)}


def _within(spreads: list[dict]) -> dict:
    """What the rounds of each run allow: two programs are compared within a run, not with another hour's times."""
    ranges = [ratio_range(spread) for spread in spreads]
    return {"low": min(low for low, _ in ranges), "high": max(high for _, high in ranges)}


def main() -> None:
    """Merge files and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="result files, the oldest first")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    save(merge([json.loads(path.read_text(encoding="utf-8")) for path in options.runs]), options.output)


if __name__ == "__main__":
    main()
