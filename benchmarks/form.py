"""Which part of an encoder's pattern carries a fact to where the decoder looks: chapter 19's question, trained.

``python -m benchmarks.form`` trains small whole models with and without the part of their pattern that goes beyond the
neighbours, once with a decoder that sees the form's states alone and once, as a control, with one that sees all. It
writes one run after the other and goes on where it stopped; half an hour to an hour on one core. The task is in
:mod:`benchmarks.form_task`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import torch
from torch.nn.functional import cross_entropy
from transformers.utils import logging

from . import machine
from .form_task import FORM, ITEMS, SIZES, VALUES, FormReader, Pattern, make_batch

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "longsum_lib" / "data" / "benchmarks" / "form.json"
SEEDS = 3
RECIPE = {
    "lengths": [128, 256],  # of the documents while training: the second from ``longer_from`` on
    "near": 40,  # length of every third step's documents: there, most facts are within every pattern's reach
    "longer_from": 0.4,
    "symbols_a_step": 2048,
    "steps": 500,
    "optimizer": "Adam",
    "learning_rate": 2e-3,
    "warm_up": 50,
    "falls_from": 0.7,  # of the steps: from there the rate falls to zero in a line
    "longest_gradient": 1.0,
    "read_every": 50,
    "enough": 0.995,  # share of held-out facts of the longer documents with which training ends
    "test_documents": {"64": 128, "256": 128, "2048": 64},
}
EDGES = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # symbols between the form's last and the fact

PATTERNS: dict[str, Pattern] = {
    "led, window": Pattern("led"),
    "led, first token global": Pattern("led", frozenset({"first"})),
    "led, form global": Pattern("led", frozenset({"form"})),
    "pegasus-x, staggered": Pattern("pegasus-x", frozenset({"stagger"})),
    "pegasus-x, globals": Pattern("pegasus-x", frozenset({"globals"})),
    "pegasus-x, staggered and globals": Pattern("pegasus-x", frozenset({"stagger", "globals"})),
    "longt5, window": Pattern("longt5"),
    "longt5, sums": Pattern("longt5", frozenset({"sums"})),
    "lsg, sparse": Pattern("lsg", frozenset({"sparse"})),
    "lsg, global": Pattern("lsg", frozenset({"globals"})),
    "lsg, sparse and global": Pattern("lsg", frozenset({"sparse", "globals"})),
}
DEPTHS: dict[str, Pattern] = {
    f"led, {layers} x ±{window}": Pattern("led", layers=layers, window=window) for layers, window in ((1, 16), (4, 4))
}


class Run(TypedDict):
    """One trained model: what it is, how it was trained, and its right facts ``[right, of]`` by distance."""

    pattern: str
    family: str
    layers: int
    window: int
    form_only: bool
    seed: int
    steps: int
    loss: float
    seconds: float
    by_distance: dict[str, list[list[int]]]


def cells(seeds: int) -> Iterator[tuple[str, Pattern, bool, int]]:
    """Yield name, pattern, whether the decoder sees only the form, and seed: a seed and its controls, then the next."""
    for seed in range(seeds):
        for form_only in (True, False):
            for name, pattern in PATTERNS.items():
                yield name, pattern, form_only, seed
    for seed in range(seeds):
        for name, pattern in DEPTHS.items():
            yield name, pattern, True, seed


def train(name: str, pattern: Pattern, form_only: bool, seed: int, *, recipe: dict = RECIPE) -> Run:
    """Train one model and read its test documents."""
    started = time.process_time()
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(1000 + seed)
    reader = FormReader(pattern, form_only).train()
    optimizer = torch.optim.Adam([p for p in reader.parameters() if p.requires_grad], lr=recipe["learning_rate"])
    short, long = recipe["lengths"]
    step, recent = 0, []
    while step < recipe["steps"]:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = recipe["learning_rate"] * _rate(step, recipe)
        length = long if step > recipe["longer_from"] * recipe["steps"] else short
        length = recipe["near"] if step % 3 == 0 else length
        batch = make_batch(recipe["symbols_a_step"] // length, length, draws)
        scores = reader(batch["documents"], batch["asked"])
        loss = cross_entropy(scores.flatten(0, 1), batch["values"].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), recipe["longest_gradient"])
        optimizer.step()
        recent = [*recent[-19:], loss.item()]
        if step % recipe["read_every"] == 0 and share(read(reader, long, 32, 7)) >= recipe["enough"]:
            break
    tests = {key: read(reader, int(key), count, 8) for key, count in recipe["test_documents"].items()}
    return {
        "pattern": name,
        "family": pattern.family,
        "layers": pattern.layers,
        "window": pattern.window,
        "form_only": form_only,
        "seed": seed,
        "steps": step,
        "loss": round(sum(recent) / len(recent), 4),
        "seconds": round(time.process_time() - started, 1),
        "by_distance": tests,
    }


def _rate(step: int, recipe: dict) -> float:
    """Share of the learning rate at a step: up, level, down."""
    left = (1 - step / recipe["steps"]) / (1 - recipe["falls_from"])
    return min(1.0, step / recipe["warm_up"], left)


@torch.no_grad()
def read(reader: FormReader, length: int, count: int, seed: int) -> list[list[int]]:
    """Count right facts ``[right, of]`` between one edge and the next, over documents that no training drew."""
    reader.eval()
    draws = torch.Generator().manual_seed(seed)  # training draws from seeds of 1,000 and up
    counted = torch.zeros(len(EDGES) - 1, 2, dtype=torch.int64)
    edges = torch.tensor(EDGES[1:-1])
    for first in range(0, count, 16):
        batch = make_batch(min(16, count - first), length, draws)
        right = reader(batch["documents"], batch["asked"]).argmax(-1) == batch["values"]
        cell = torch.bucketize(batch["places"] - (FORM - 1), edges)  # up to an edge, the edge included
        for column, what in enumerate((right, torch.ones_like(right))):
            counted[:, column].index_add_(0, cell.flatten(), what.flatten().long())
    reader.train()
    return counted.tolist()


def share(counted: list[list[int]]) -> float:
    """Right facts of all facts."""
    return sum(right for right, _ in counted) / max(1, sum(total for _, total in counted))


def settings() -> dict[str, object]:
    """What was the same in all runs."""
    return RECIPE | {"edges": list(EDGES), "items": ITEMS, "values": VALUES, "sizes": SIZES}


def _key(run: Run) -> tuple[str, bool, int]:
    return run["pattern"], run["form_only"], run["seed"]


def main(arguments: list[str] | None = None) -> None:
    """Train what the file does not have yet; print and write each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.form", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each cell")
    parser.add_argument("--output", type=Path, default=FILE, help="result file; runs that it has are kept")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    result = {
        "title": "Facts by distance, where only the encoder can bring them to the decoder",
        "note": NOTE,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "settings": settings(),
        "runs": [],
    }
    if options.output.is_file():
        stored = json.loads(options.output.read_text(encoding="utf-8"))
        if stored["settings"] != json.loads(json.dumps(result["settings"])):
            raise SystemExit(f"{options.output} holds runs of other settings; name another --output or delete it")
        result["runs"] = stored["runs"]
    done = {_key(run) for run in result["runs"]}
    for name, pattern, form_only, seed in cells(options.seeds):
        if (name, form_only, seed) in done:
            continue
        run = train(name, pattern, form_only, seed)
        tests = {key: round(share(counted), 3) for key, counted in run["by_distance"].items()}
        print(name, "form" if form_only else "all", seed, run["steps"], run["loss"], run["seconds"], tests, flush=True)
        result["runs"] = sorted([*result["runs"], run], key=_key)
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


NOTE = (
    "Documents of symbols: a form of eight items, then filler with eight facts, each an item with one of eight values. "
    "Whole encoder-decoders of width 64, two encoder layers and one decoder layer unless the name says otherwise, "
    "without positions. form_only: the decoder sees the nine states of the form; otherwise all states. by_distance: "
    "right and all facts of test documents, by symbols between the form's last and the fact. A guess is right one time "
    "in eight."
)

if __name__ == "__main__":
    main()
