"""What many documents cost: this version beside an earlier one, in alternation, in CPU seconds of one thread.

``python -m benchmarks.many_documents EARLIER`` takes a folder with an earlier version's files (``git archive bee34a5 |
tar -x -C EARLIER``), measures and writes ``results/many_documents.json``:

* ``tiny``: led-tiny, 64 documents of 512 to 8,192 tokens, ``summarize(list)`` with defaults on both sides;
* ``decoding``: LED of base size with random weights, 8 documents of 512 to 4,096 tokens: what 32 tokens of each cost,
  the encoder left out; earlier one document at a time;
* ``transformers``: the same documents, encoder and decoder, beside transformers' own class in one padded batch of 8,
  and the memory that both take beyond the model;
* ``streamed``: 10,000 short documents (or as many as the variable STREAMED says) through ``summarize_corpus``, the
  memory held after 100 and at the end;
* ``rate``: documents a minute of this machine, for the book's page;
* ``ray``: a job of 60 documents in one process and with one Ray worker on this machine; needs Ray.

Each figure comes from a process of its own; programs that are compared run in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LENGTHS = (512, 1024, 1536, 2048, 2560, 3072, 3584, 4096)
NEW_TOKENS, TIMED_TOKENS = 64, 32
EARLIER = "commit bee34a5, its cache named as transformers 5.24 names it"
NOTE = "Documents that are written together beside one at a time and beside padded batches; CPU seconds, in turns."
ROUNDS = {"tiny": 3, "decoding": 3, "transformers": 2, "streamed": 1, "rate": 1, "ray": 1}


# --- what the processes do --------------------------------------------------------------------------


def tiny(count: int = 64) -> dict[str, Any]:
    """Summarize documents of mixed length with led-tiny."""
    import longsum_lib

    chosen = random.Random(1)
    lengths = [chosen.choice([512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192]) for _ in range(count)]
    texts = [longsum_lib.make_document(seed=500 + i, length=n, split="test").text for i, n in enumerate(lengths)]
    model, tokenizer = longsum_lib.load("led-tiny"), longsum_lib.load_tokenizer("led-tiny")
    longsum_lib.summarize(texts[:1], model, tokenizer=tokenizer)
    start = time.process_time()
    found = longsum_lib.summarize(texts, model, tokenizer=tokenizer)
    return {"cpu_seconds": time.process_time() - start, "texts": [one.text for one in found]}


def _base(encoder_layers: int = 6) -> tuple[Any, list[Any], dict[str, Any]]:
    """LED of base size with random weights, the documents, and the options."""
    import torch
    from transformers import LEDConfig

    from longsum_lib import LEDForConditionalGeneration

    torch.manual_seed(0)
    config = LEDConfig(
        encoder_layers=encoder_layers,
        decoder_layers=6,
        d_model=768,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        max_encoder_position_embeddings=4096,
    )
    model = LEDForConditionalGeneration(config).eval()
    documents = [torch.randint(5, 50000, (1, length)) for length in LENGTHS]
    return model, documents, {"num_beams": 1, "forced_eos_token_id": None}


def _inputs(ids: Any) -> dict[str, Any]:
    import torch

    mask = torch.zeros_like(ids)
    mask[:, 0] = 1
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "global_attention_mask": mask}


def _encoded(model: Any, documents: list[Any]) -> list[Any]:
    """Encode once, so that what is timed after it is decoding."""
    from transformers.modeling_outputs import BaseModelOutput

    inputs = [_inputs(ids) for ids in documents]
    return [BaseModelOutput(last_hidden_state=model.get_encoder()(**one).last_hidden_state) for one in inputs]


def _tokens_cost(write: Callable[[int], list[list[int]]]) -> dict[str, Any]:
    """CPU seconds of ``TIMED_TOKENS`` tokens of all documents: a run of all of them less a run of one."""
    start = time.process_time()
    write(1)
    first = time.process_time() - start
    start = time.process_time()
    ids = write(1 + TIMED_TOKENS)
    return {"cpu_seconds": time.process_time() - start - first, "ids": ids}


def decoding_one_by_one() -> dict[str, Any]:
    """Write about one document after the other."""
    import torch

    model, documents, options = _base(encoder_layers=1)  # decoding alone is timed
    with torch.inference_mode():
        states = _encoded(model, documents)

    def write(tokens: int) -> list[list[int]]:
        lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens}
        with torch.inference_mode():
            made = [
                model.generate(encoder_outputs=one, attention_mask=torch.ones_like(ids), **lengths, **options)
                for one, ids in zip(states, documents, strict=True)
            ]
        return [one[0].tolist() for one in made]

    return _tokens_cost(write)


def decoding_together() -> dict[str, Any]:
    """Write about all documents in one loop."""
    import torch

    model, documents, options = _base(encoder_layers=1)  # decoding alone is timed
    with torch.inference_mode():
        states = iter_again(_encoded(model, documents))

    def write(tokens: int) -> list[list[int]]:
        lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens}
        return _loop(model, documents, {**lengths, **options}, states())

    return _tokens_cost(write)


def iter_again(values: list[Any]) -> Callable[[], Iterator[Any]]:
    """Return what begins anew each time it is called."""
    return lambda: iter(values)


def _loop(model: Any, documents: list[Any], options: dict[str, Any], states: Iterator[Any] | None) -> list[list[int]]:
    import torch

    from longsum_lib.generation.batches.loop import Loop
    from longsum_lib.generation.batches.prepare import prepare
    from longsum_lib.generation.batches.room import Room
    from longsum_lib.models.core.step.decoder import StepDecoder

    def encode(ids: list[int]) -> Any:
        inputs = _inputs(torch.tensor([ids]))
        if states is not None:
            inputs = {"encoder_outputs": next(states), "attention_mask": inputs["attention_mask"]}
        return prepare(model, inputs, options)

    waiting = iter(enumerate(ids[0].tolist() for ids in documents))
    loop = Loop(StepDecoder(model), Room(model, 1, options["max_new_tokens"], None), encode)
    found = dict(loop.run(lambda: next(waiting, None)))
    return [found[number].ids for number in range(len(documents))]


def _whole(write: Callable[[int], object]) -> dict[str, Any]:
    from benchmarks.measure import extra_mebibytes

    start = 0.0

    def run() -> object:
        nonlocal start
        start = time.process_time()
        return write(1 + NEW_TOKENS)

    extra = extra_mebibytes(run, lambda: None)
    return {"cpu_seconds": time.process_time() - start, "extra_mebibytes": extra}


def transformers_padded() -> dict[str, Any]:
    """Encode and write about a padded batch with transformers' own class."""
    import torch
    from transformers import LEDForConditionalGeneration as Reference

    ours, documents, options = _base()
    model = Reference(ours.config).eval()
    model.load_state_dict(ours.state_dict(), assign=True, strict=False)
    del ours
    longest = max(LENGTHS)
    inputs = {name: torch.zeros(len(documents), longest, dtype=torch.long) for name in _inputs(documents[0])}
    for row, ids in enumerate(documents):
        for name, value in _inputs(ids).items():
            inputs[name][row, : value.shape[1]] = value[0]
    inputs["input_ids"][inputs["attention_mask"] == 0] = model.config.pad_token_id

    def write(tokens: int) -> object:
        with torch.inference_mode():
            return model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, **options)

    return _whole(write)


def whole_together() -> dict[str, Any]:
    """Encode and write about the same documents in the loop."""
    model, documents, options = _base()
    return _whole(
        lambda tokens: _loop(
            model, documents, {"max_new_tokens": tokens, "min_new_tokens": tokens, **options}, states=None
        )
    )


def streamed(count: int = int(os.environ.get("STREAMED", "10000")), first: int = 100) -> dict[str, Any]:
    """Stream short documents, and look at the memory that is held."""
    import tempfile

    import longsum_lib

    held: dict[int, float] = {}
    texts = [longsum_lib.make_document(seed=i, length=96).text for i in range(50)]
    pairs = ((f"{i}", f"{texts[i % 50]} Number {i}.") for i in range(count))

    def look(progress: Any) -> None:
        if progress.documents in (first, count):
            held[progress.documents] = _resident()

    with tempfile.TemporaryDirectory() as folder:
        longsum_lib.summarize_corpus(pairs, f"{folder}/out.parquet", "led-tiny", max_new_tokens=4, progress=look)
    return {"documents": count, "mib_after_100": held[first], "mib_at_the_end": held[count]}


def _resident() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def rate() -> dict[str, Any]:
    """CPU seconds a document of 4,096 tokens: the extract, led-tiny, and LED of base size with 64 new tokens."""
    import longsum_lib

    texts = [longsum_lib.make_document(seed=i, length=4096, split="test").text for i in range(16)]
    found = {}
    for name in ("extract", "led-tiny"):
        longsum_lib.summarize(texts[:1], name)
        model = name if name == "extract" else longsum_lib.load(name)
        start = time.process_time()
        longsum_lib.summarize(texts, model)
        found[name] = (time.process_time() - start) / len(texts)
    import torch

    model, _, options = _base()
    documents = [torch.randint(5, 50000, (1, 4096)) for _ in range(2)]
    options |= {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
    start = time.process_time()
    _loop(model, documents, options, states=None)
    found["LED of base size"] = (time.process_time() - start) / len(documents)
    rows = [{"model": n, "cpu_seconds_a_document": s, "documents_a_minute_a_core": 60 / s} for n, s in found.items()]
    return {"rows": rows}


def on_one_machine() -> dict[str, Any]:
    """Run a job of 60 documents in one process and with one Ray worker; peak of memory of all processes, and time."""
    import importlib.util
    import tempfile

    from benchmarks.killed_jobs import command, make_documents

    if importlib.util.find_spec("ray") is None:
        raise SystemExit("this case needs Ray: pip install 'ray[data]'")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_documents(Path(folder) / "in", 60)
        for name, options in {"one process": (), "one Ray worker": ("--engine", "ray", "--workers", "1")}.items():
            into = Path(folder) / f"{len(rows)}.jsonl"
            start = time.perf_counter()
            job = subprocess.Popen(command(Path(folder) / "in", into, *options), stderr=subprocess.DEVNULL)
            peak = 0.0
            while job.poll() is None:
                peak = max(peak, _memory_of(job.pid))
                time.sleep(0.2)
            rows.append(
                {"engine": name, "documents": 60, "wall_seconds": time.perf_counter() - start, "peak_mib": peak}
            )
    return {"rows": rows}


def _memory_of(pid: int) -> float:
    """Memory of a process and all below it in MiB; what they share is counted once."""
    import contextlib

    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total / 2**20


PROGRAMS: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
    "tiny": {"earlier": tiny, "now": tiny},
    "decoding": {"earlier": decoding_one_by_one, "now": decoding_together},
    "transformers": {"transformers": transformers_padded, "now": whole_together},
    "streamed": {"now": streamed},
    "rate": {"now": rate},
    "ray": {"now": on_one_machine},
}


# --- the comparison ---------------------------------------------------------------------------------


def in_process(case: str, program: str, library: Path) -> dict[str, Any]:
    """Run a program with the files of one version, in a process of its own and one thread."""
    paths = os.pathsep.join([str(library), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    # -P: not the folder of this file, which has a module cuda, before everything else.
    line = [sys.executable, "-P", str(Path(__file__).resolve()), "--program", case, program]
    found = subprocess.run(line, env=environment, capture_output=True, text=True, cwd=library)
    if found.returncode:
        raise RuntimeError(found.stderr[-2000:])
    result: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return result


WORK = {
    "tiny": ("led-tiny, 64 documents of 512 to 8,192 tokens, greedy", "summarize(list) of the earlier version"),
    "decoding": (
        "LED of base size, 8 documents of 512 to 4,096 tokens, 32 tokens of each: decoding",
        "one at a time, earlier",
    ),
    "transformers": (
        "the same documents, 64 tokens of each, encoder and decoder",
        "transformers' class, one padded batch",
    ),
}


def run_in_turns(case: str, earlier: Path, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Run a case's programs in turns; every second round in the opposite order."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in PROGRAMS[case]}
    for number in range(rounds):
        for name in list(runs) if number % 2 == 0 else list(reversed(runs)):
            runs[name].append(in_process(case, name, earlier if name == "earlier" else ROOT))
            shown = {key: value for key, value in runs[name][-1].items() if key not in ("ids", "texts")}
            print(case, name, shown, flush=True)
    return runs


def compared(case: str, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the row of a case: the work, both programs' seconds, and how many times faster."""
    other = next(name for name in runs if name != "now")
    seconds = {name: [one["cpu_seconds"] for one in found] for name, found in runs.items()}
    pairs = [theirs / ours for theirs, ours in zip(seconds[other], seconds["now"], strict=True)]
    row: dict[str, Any] = {"case": case, "work": WORK[case][0], "beside": WORK[case][1]}
    row |= {"their_cpu_seconds": statistics.median(seconds[other]), "cpu_seconds": statistics.median(seconds["now"])}
    row |= {"factor": statistics.median(pairs), "lowest_factor": min(pairs), "rounds": len(pairs)}
    what = next((what for what in ("ids", "texts") if what in runs["now"][0]), None)
    if what:
        row["same"] = all(one[what] == runs["now"][0][what] for found in runs.values() for one in found)
    if "extra_mebibytes" in runs["now"][0]:
        extra = {name: statistics.median(one["extra_mebibytes"] for one in found) for name, found in runs.items()}
        row |= {"their_extra_mib": extra[other], "extra_mib": extra["now"]}
    return row


def main() -> None:
    """Measure every case, or do what one process is for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("earlier", type=Path, nargs="?")
    parser.add_argument("--cases", nargs="+", choices=PROGRAMS, default=[case for case in PROGRAMS if case != "ray"])
    parser.add_argument("--rounds", type=int, help="how often each program runs (default: 1 to 3)")
    parser.add_argument("--program", nargs=2, metavar=("CASE", "NAME"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.program:
        import torch

        torch.set_num_threads(1)
        case, name = given.program
        print(json.dumps(PROGRAMS[case][name]()))
        return
    from benchmarks import machine

    for case in given.cases:
        store(case, run_in_turns(case, given.earlier.resolve(), given.rounds or ROUNDS[case]), machine.describe())


def store(case: str, runs: dict[str, list[dict[str, Any]]], machine: dict[str, object]) -> None:
    """Put a case's figures into the result file, beside those of the other cases."""
    from benchmarks.machine import versions

    path = ROOT / "benchmarks" / "results" / "many_documents.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    result = {"title": "Many documents", "note": NOTE, "made_by": "python -m benchmarks.many_documents EARLIER"}
    result |= {"earlier": EARLIER, "threads": 1, "machine": machine, "versions": versions()}
    result |= {name: stored.get(name, []) for name in ("together", "streams", "throughput", "engines")}
    if case == "streamed":
        result["streams"] = runs["now"]
    elif case in ("rate", "ray"):
        result["throughput" if case == "rate" else "engines"] = runs["now"][0]["rows"]
    else:
        rows = [row for row in result["together"] if row["case"] != case]
        result["together"] = sorted([*rows, compared(case, runs)], key=lambda row: list(PROGRAMS).index(row["case"]))
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
