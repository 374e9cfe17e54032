"""What a GPU makes of it: ours beside transformers' classes, sdpa and FlexAttention, by CUDA's own clock.

``python -m tools.on_gpu`` runs this and stores it as ``benchmarks/results/cuda-NAME.json``. Programs take turns; a time
is that between two events on the device, memory is the peak that torch's allocator counts above what was there before.
On a CPU (``--device cpu --small``) it runs too, which proves that it runs and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from longsum_lib.generation.batches.loop import Loop
from longsum_lib.generation.batches.prepare import Prepared, prepare
from longsum_lib.generation.batches.room import Room
from longsum_lib.models.core.step.decoder import StepDecoder

from . import machine
from .programs import OURS, SEED, THEIRS

Program = Callable[[], object]
LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the work: LED-base at 16,384 tokens, or small enough for a test."""

    length: int = 16384
    train_length: int = 8192
    layers: int = 6
    d_model: int = 768
    heads: int = 12
    ffn: int = 3072
    window: int = 1024
    new_tokens: int = 64
    beams: int = 4
    rounds: int = 5
    vocabulary: int = 50265

    def config(self) -> object:
        """Return LED's config of these sizes."""
        from transformers import LEDConfig

        sides = {}
        for side in ("encoder", "decoder"):
            sides |= {f"{side}_layers": self.layers, f"{side}_attention_heads": self.heads, f"{side}_ffn_dim": self.ffn}
        return LEDConfig(
            vocab_size=self.vocabulary,
            d_model=self.d_model,
            attention_window=[self.window] * self.layers,
            max_encoder_position_embeddings=self.length,
            max_decoder_position_embeddings=1024,
            dropout=0.0,
            **sides,
        )


SMALL = Sizes(256, 128, 2, 32, 4, 48, 32, 4, 2, 1, 1001)


@dataclass(frozen=True)
class Bench:
    """Where and in which format something is measured."""

    device: torch.device
    dtype: torch.dtype
    sizes: Sizes

    def time(self, programs: dict[str, Program]) -> list[dict[str, object]]:
        """Run programs in turns; return a row each: median, lowest, highest milliseconds, and extra MiB."""
        peaks = {name: self._peak(run) for name, run in programs.items()}  # the first run, too: kernels are compiled
        times: dict[str, list[float]] = {name: [] for name in programs}
        for number in range(self.sizes.rounds):
            names = list(programs) if number % 2 == 0 else list(reversed(programs))
            for name in names:
                times[name].append(self._milliseconds(programs[name]))
        return [
            {"program": n, "ms": statistics.median(t), "low": min(t), "high": max(t), "rounds": len(t), "mib": peaks[n]}
            for n, t in times.items()
        ]

    def _milliseconds(self, run: Program) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            run()
            return 1000 * (time.perf_counter() - start)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        first.record()
        run()
        last.record()
        torch.cuda.synchronize()
        return float(first.elapsed_time(last))

    def _peak(self, run: Program) -> float | None:
        run()
        gc.collect()
        if self.device.type != "cuda":
            return None
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20


@functools.cache
def _made(bench: Bench) -> dict[str, torch.nn.Module]:
    import transformers

    from longsum_lib import LEDForConditionalGeneration

    torch.manual_seed(SEED)
    with torch.device(bench.device):  # random weights are drawn there, in a moment
        ours = LEDForConditionalGeneration(bench.sizes.config())
        theirs = transformers.LEDForConditionalGeneration(bench.sizes.config())
    theirs.load_state_dict(ours.state_dict(), strict=False)
    return {name: model.to(bench.device, bench.dtype) for name, model in ((OURS, ours), (THEIRS, theirs))}


def _pair(bench: Bench, train: bool = False) -> dict[str, torch.nn.Module]:
    """Ours and transformers' class with the same weights, made once for all cases of a format."""
    with torch.inference_mode(False):
        return {name: copy.deepcopy(model).train(train) for name, model in _made(bench).items()}


def _document(bench: Bench, length: int) -> dict[str, torch.Tensor]:
    return _given(torch.randint(3, 1000, (1, length), device=bench.device))


def _given(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    chosen = torch.zeros_like(ids)
    chosen[:, 0] = 1
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "global_attention_mask": chosen}


def encoder(bench: Bench) -> list[dict[str, object]]:
    """LED's encoder, no padding."""
    document = _document(bench, bench.sizes.length)
    with torch.inference_mode():
        models = _pair(bench)
        return bench.time({name: lambda m=model: m.get_encoder()(**document) for name, model in models.items()})


def training(bench: Bench) -> list[dict[str, object]]:
    """Forward, backward, with checkpointing of layers on both sides."""
    document = _document(bench, bench.sizes.train_length) | {
        "labels": torch.randint(3, 1000, (1, 64), device=bench.device)
    }
    models = _pair(bench, train=True)
    for model in models.values():
        model.gradient_checkpointing_enable()

    def step(model: torch.nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        model(**document, use_cache=False).loss.backward()

    return bench.time({name: lambda m=model: step(m) for name, model in models.items()})


RECORDED = f"{OURS}, recorded steps"


def decoding(bench: Bench) -> list[dict[str, object]]:
    """Writing with beams beside an encoded document; ours with steps recorded as a CUDA graph, too."""
    document, sizes = _document(bench, bench.sizes.length), bench.sizes
    length = {"max_new_tokens": sizes.new_tokens, "min_new_tokens": sizes.new_tokens, "num_beams": sizes.beams}
    with torch.inference_mode():
        programs = {}
        models = _pair(bench)
        models[RECORDED] = copy.deepcopy(models[OURS])
        models[RECORDED].records_steps = True
        for name, model in models.items():
            states = model.get_encoder()(**document)
            mask = {"attention_mask": document["attention_mask"]}
            programs[name] = lambda m=model, s=states, k=mask: m.generate(encoder_outputs=s, **k, **length)
        return bench.time(programs)


def attention(bench: Bench) -> list[dict[str, object]]:
    """One attention: our blocks, FlexAttention, and all pairs by sdpa; where windows begin to win, too."""
    from longsum_lib.attention import sliding_window_attention

    def programs(length: int) -> dict[str, Program]:
        shape = (1, bench.sizes.heads, length, bench.sizes.d_model // bench.sizes.heads)
        tensors = [torch.randn(shape, device=bench.device, dtype=bench.dtype) for _ in range(3)]
        backends = ("blocked", "flex") if bench.device.type == "cuda" else ("blocked",)
        ours = partial(sliding_window_attention, *tensors, window=bench.sizes.window // 2)
        windows = {name: partial(ours, backend=name) for name in backends}
        return {"sdpa, all pairs": partial(F.scaled_dot_product_attention, *tensors), **windows}

    lengths = [n for n in LENGTHS if n <= 2 * bench.sizes.length] or [bench.sizes.length]
    with torch.inference_mode():
        return [{"length": n, **row} for n in lengths for row in bench.time(programs(n))]


DOCUMENTS, TOGETHER = 16, 4


def folder(bench: Bench) -> list[dict[str, object]]:
    """Documents of mixed length: ours read one by one and written about together, theirs in padded batches."""
    sizes = bench.sizes
    lengths = [max(32, sizes.length * (1 + number % 4) // 8) for number in range(DOCUMENTS)]  # an eighth to a half
    documents = [torch.randint(3, 1000, (length,)).tolist() for length in lengths]
    options = {"max_new_tokens": sizes.new_tokens, "min_new_tokens": sizes.new_tokens, "num_beams": 1}
    with torch.inference_mode():
        models = _pair(bench)
        models[OURS].records_steps = True
        programs = {
            THEIRS: partial(_write_padded, models[THEIRS], documents, options),
            OURS: partial(_write_together, models[OURS], documents, options),
        }
        rows = bench.time(programs)
    return [{**row, "documents_a_minute": round(60_000 * DOCUMENTS / row["ms"], 1)} for row in rows]


def _write_padded(model: torch.nn.Module, documents: list[list[int]], options: dict[str, int]) -> None:
    for first in range(0, len(documents), TOGETHER):
        some = [torch.tensor(one) for one in documents[first : first + TOGETHER]]
        ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True, padding_value=1).to(model.device)
        given = _given(ids) | {"attention_mask": (ids != 1).long()}
        model.generate(**given, **options)


def _write_together(model: torch.nn.Module, documents: list[list[int]], options: dict[str, int]) -> None:
    def encode(ids: list[int]) -> Prepared:
        return prepare(model, _given(torch.tensor([ids], device=model.device)), options)

    waiting = iter(enumerate(documents))
    room = Room(model, 1, options["max_new_tokens"], TOGETHER)
    for _, result in Loop(StepDecoder(model), room, encode).run(lambda: next(waiting, None)):
        if isinstance(result, Exception):
            raise result


CASES = {"encoder": encoder, "training": training, "decoding": decoding, "attention": attention, "folder": folder}


def measure(
    device: str, dtypes: list[str], sizes: Sizes, until: float
) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Yield the rows of every case and format; what fails or finds no time left says so in its row."""
    for name, case in CASES.items():
        rows: list[dict[str, object]] = []
        for dtype in dtypes:
            if time.monotonic() > until:
                rows.append({"dtype": dtype, "skipped": "no time was left"})
                continue
            try:
                found = case(Bench(torch.device(device), DTYPES[dtype], sizes))
                rows += [{"dtype": dtype, **row} for row in found]
            except Exception as error:  # a card without bf16, too little memory; the other cases go on
                rows.append({"dtype": dtype, "failed": f"{type(error).__name__}: {str(error).splitlines()[:1]}"})
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()
        yield name, rows


def card(device: str) -> dict[str, object]:
    """Return what a result says about the device."""
    if device == "cpu":
        return machine.describe()
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": "cuda",
        "processor": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the JSON; rows are written as they come, so that a cut run keeps what it has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes of a test")
    parser.add_argument("--seconds", type=float, default=240, help="begin nothing after this")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    until = time.monotonic() + options.seconds
    stored: dict[str, object] = {
        "title": "Ours beside transformers on a GPU" if options.device != "cpu" else "A trial run on a CPU",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": card(options.device),
        "versions": machine.versions(),
    }
    sizes, dtypes = (SMALL, ["fp32"]) if options.small else (Sizes(), ["bf16", "fp16"])
    stored["settings"] = vars(sizes) | {"dtypes": dtypes}
    for name, rows in measure(options.device, dtypes, sizes, until):
        stored[name] = rows
        options.output.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
