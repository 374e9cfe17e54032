"""Where the seconds of LED's encoder go, operation by operation: ``python -m benchmarks.operations``.

The encoder of transformers, this library's and full fused attention run on one core, in turns. A dispatch mode stands
between PyTorch and its kernels: it reads the thread's own clock before and after every operation, and counts what the
operation moves and multiplies. The clock counts processor time, so what else runs on the machine is left out. Every
operation belongs to a part, so that the difference between two programs can be named. Takes some minutes; chapter 8
reads the file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import machine
from .programs import PROGRAMS, Document, encode, led_encoder, quiet
from .run import ALLOCATORS
from .tables import rounded

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "longsum_lib" / "data" / "benchmarks" / "operations.json"
LENGTH, LAYERS, ROUNDS = 4096, 2, 3
OTHER, BETWEEN = "other", "between operations"
COLUMNS = ("seconds", "calls", "moved", "multiply_adds")
PARTS = {
    "products with weights": ("addmm", "mm"),
    "products of chunks": ("bmm", "baddbmm"),
    "fused attention": ("_scaled_dot_product_flash_attention_for_cpu",),
    "softmax": ("_softmax",),
    "new tensors, filled": ("new_zeros", "new_ones", "new_full", "zeros", "ones", "full", "zeros_like", "ones_like")
    + ("full_like", "fill_", "zero_"),
    "pads": ("constant_pad_nd",),
    "copies": ("copy_", "clone", "_to_copy", "cat", "stack", "index", "index_select", "index_put_", "embedding"),
    "masks and sums": ("masked_fill", "masked_fill_", "where", "tril", "triu", "flip", "eq", "ne", "lt", "gt", "le")
    + ("add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "lerp_", "exp", "logaddexp", "all", "any"),
    "norms and activations": ("native_layer_norm", "gelu", "relu"),
}
PART_OF = {name: part for part, names in PARTS.items() for name in names}
NOTE = (
    "LED's encoder at base width with two layers and one global token, random weights, fp32, one core. Seconds are "
    "processor time of the thread, each part's in its fastest round; moved: bytes of all inputs and outputs of the "
    "operations; multiply-adds: those of matrix products. Between operations lies what a run takes beyond them: "
    "Python, and memory that is given back. Allocator default: the C library's as it is; kept pages: told to keep "
    "freed memory."
)


class Clock(TorchDispatchMode):
    """Adds up, for each part, seconds and calls of its operations, what they moved and what they multiplied.

    Views cost nothing and are not counted. An operation that runs inside another belongs to the outer one: a mode does
    not see it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        start = time.thread_time()
        out = operation(*args, **(kwargs or {}))
        seconds = time.thread_time() - start
        name = operation.overloadpacket.__name__
        if not operation.is_view and name not in ("_unsafe_view", "empty", "empty_like", "new_empty"):
            part = self.parts[PART_OF.get(name, OTHER)]
            part["seconds"] += seconds
            part["calls"] += 1
            part["moved"] += sum(map(_bytes, _tensors((args, out))))
            part["multiply_adds"] += multiply_adds(name, args)
        return out


def multiply_adds(name: str, args: tuple) -> int:
    """Multiply-adds of a matrix product or of a fused attention over ``(batch, heads, rows, head_dim)``.

    Example:
        >>> multiply_adds("mm", (torch.empty(2, 3), torch.empty(3, 5)))
        30
    """
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        left, right = args[-2:] if name in ("mm", "bmm") else args[1:3]
        return left.numel() * right.shape[-1]
    if name == "_scaled_dot_product_flash_attention_for_cpu":
        query, key = args[:2]
        return 2 * query.numel() * key.shape[-2]
    return 0


def _tensors(x: object) -> Iterable[torch.Tensor]:
    if isinstance(x, torch.Tensor):
        yield x
    elif isinstance(x, tuple | list):
        for item in x:
            yield from _tensors(item)


def _bytes(x: torch.Tensor) -> int:
    """Bytes of a tensor; overlapping windows are no more than the memory that they show."""
    return min(x.numel() * x.element_size(), x.untyped_storage().nbytes())


def clocked(run: Callable[[], object]) -> dict[str, dict[str, float]]:
    """Run once and return each part's columns."""
    with Clock() as clock:
        run()
    return dict(clock.parts)


def plain_seconds(run: Callable[[], object]) -> float:
    """Processor time of the thread for a run that nothing watches."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def rates(rounds: int = 5, size: int = 2048, mebibytes: int = 256) -> dict[str, float]:
    """Return the best rates of one large product and of one long copy, by the same clock."""
    left, right = torch.randn(2, size, size)
    source = torch.ones(mebibytes * 2**18)
    target = torch.empty_like(source)
    product, copy = (
        min(plain_seconds(run) for _ in range(rounds)) for run in (lambda: left @ right, lambda: target.copy_(source))
    )
    return {"matmul_gflops": 2 * size**3 / product / 1e9, "bandwidth_gb_s": 2 * mebibytes * 2**20 / copy / 1e9}


def measure(length: int, rounds: int) -> dict:
    """Clock every program in turns, in this process, which has one thread, and under its allocator."""
    document = Document.random(length)
    runs = {name: encode(name, led_encoder(name, length, LAYERS), document) for name in PROGRAMS}
    for run in runs.values():
        run()
    plain: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    parts: dict[str, list[dict]] = {name: [] for name in PROGRAMS}
    for number in range(rounds):
        for name in list(runs) if number % 2 == 0 else list(reversed(runs)):
            plain[name].append(plain_seconds(runs[name]))
            parts[name].append(clocked(runs[name]))
    return {
        "rates": [rates()],
        "totals": [
            {"program": name, "seconds": min(found), "median": statistics.median(found)}
            for name, found in plain.items()
        ],
        "operations": [row for name, found in parts.items() for row in _rows(name, found, min(plain[name]))],
    }


def _rows(program: str, rounds: list[dict], whole: float) -> Iterable[dict]:
    """One row a part: its counts, which are the same in all rounds, and its fastest and median seconds."""
    for part in (*PARTS, OTHER):
        if part in rounds[0]:
            seconds = [found[part]["seconds"] for found in rounds]
            fastest = {"seconds": min(seconds), "median": statistics.median(seconds)}
            whole -= fastest["seconds"]
            yield {"program": program, "part": part, **rounds[0][part], **fastest}
    yield {"program": program, "part": BETWEEN, **dict.fromkeys(COLUMNS, 0), "seconds": max(0.0, whole)}


def main(arguments: list[str] | None = None) -> None:
    """Measure under every allocator, each in a process of its own, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=__doc__)
    parser.add_argument("--length", type=int, default=LENGTH, help="tokens")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of every program")
    parser.add_argument("--output", type=Path, default=FILE, help="result file")
    parser.add_argument("--here", action="store_true", help="measure in this process and print rows as JSON")
    options = parser.parse_args(arguments)
    if options.here:
        torch.set_num_threads(1)
        quiet()
        print(json.dumps(measure(options.length, options.rounds)))
        return
    result = {
        "title": "LED's encoder, operation by operation",
        "note": NOTE,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {**machine.describe(), "cores": 1},
        "versions": machine.versions(),
        "settings": {"length": options.length, "layers": LAYERS, "rounds": options.rounds, "threads": 1},
    }
    command = [sys.executable, "-m", "benchmarks.operations", "--here"]
    command += ["--length", str(options.length), "--rounds", str(options.rounds)]
    for allocator, variables in ALLOCATORS.items():
        environment = {**os.environ, **variables, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        for table, rows in json.loads(done.stdout.splitlines()[-1]).items():
            result.setdefault(table, []).extend({"allocator": allocator, **row} for row in rows)
    text = json.dumps(rounded(result), indent=1, ensure_ascii=False)
    options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
