"""What is measured: each case gives rows of a table of the result file.

A timed case runs its programs in one process, in turns. A memory case runs one program and is given a process of its
own. Rows of both that agree in ``KEYS`` become one row of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from . import bounds, machine, programs
from .decoding import Decoding, Writing, token_times
from .measure import extra_mebibytes, in_turns, spread
from .programs import BASE, FULL, OURS, PROGRAMS, THEIRS, Document

ENCODER_LAYERS = 2
WRITER_LAYERS = 6
SUMMARY = {"length": 16384, "beams": 4, "new_tokens": 64}
TRAINING = {"length": 8192, "target_tokens": 256, "layers": 2}
DECODER_LENGTH = 16384
# Inputs longer than this are run by this library alone: the others take minutes, or more memory than there is.
LONGEST_FOR_ALL = 16384
# Tokens of the run before the one that is measured; it loads libraries and starts threads.
WARM_UP = 1100
PREFIX = {OURS: "", THEIRS: "transformers_", FULL: "full_"}

Row = dict[str, object]


def _seconds(times: dict[str, dict[str, float]]) -> Row:
    """Return the columns of times: medians, and in ``spread`` the rest."""
    medians = {f"{PREFIX[name]}seconds": t["median"] for name, t in times.items()}
    return {**medians, "spread": spread(times)}


def _short(length: int) -> Document:
    return Document.random(min(length, WARM_UP))


def rates() -> Row:
    """Measure what this machine can do."""
    return {
        "matmul_gflops": machine.matmul_gflops(),
        "bfloat16_gflops": machine.matmul_gflops(dtype="bfloat16"),
        "bandwidth_gb_s": machine.bandwidth_gb_s(),
        "read_gb_s": machine.read_gb_s(),
    }


# --- encoder --------------------------------------------------------------------------------------


def encoder_time(lengths: list[int], rounds: int) -> Iterator[Row]:
    """LED's encoder, two layers at base width, window ±512, first token global."""
    for length in lengths:
        yield _encoder_row(length, PROGRAMS if length <= LONGEST_FOR_ALL else (OURS,), rounds)


def _encoder_row(length: int, names: tuple[str, ...], rounds: int) -> Row:
    encoders = {n: programs.led_encoder(n, length, ENCODER_LAYERS) for n in names}
    document, start = Document.random(length), _short(length)
    for name, encoder in encoders.items():
        programs.encode(name, encoder, start)()
    runs = {name: programs.encode(name, encoder, document) for name, encoder in encoders.items()}
    row: Row = {"model": "LED", "length": length, "dtype": "float32"}
    if THEIRS in runs and length <= 4096:
        wanted = runs[THEIRS]()
        row["largest_difference"] = float((runs[OURS]() - wanted).abs().max() / wanted.abs().max())
    rate = machine.matmul_gflops()
    row |= _seconds(in_turns(runs, rounds))
    work = encoder_work(length, ENCODER_LAYERS)
    rate = max(rate, machine.matmul_gflops())  # the better of before and after
    return row | {"multiply_adds": work, "bound_seconds": bounds.bound_seconds(work, rate)}


def encoder_work(length: int, layers: int) -> int:
    """Multiply-adds of LED's encoder."""
    return bounds.led_encoder(length, layers=layers, **{name: BASE[name] for name in ("d_model", "ffn", "window")})


def _decoder_shape(layers: int = WRITER_LAYERS) -> dict[str, int]:
    return {"layers": layers, **{name: BASE[name] for name in ("d_model", "ffn", "vocabulary")}}


def _step_bound(keys: int, beams: int) -> float:
    """Seconds that a decoding step takes at least: it reads all weights and keys, and multiplies."""
    reading = bounds.bytes_seconds(bounds.decoder_bytes(keys, **_decoder_shape()), machine.read_gb_s())
    return max(
        reading, bounds.bound_seconds(beams * bounds.decoder(1, keys, **_decoder_shape()), machine.matmul_gflops())
    )


def encoder_memory(program: str, length: int) -> Row:
    """Peak that encoding adds to the weights, result included."""
    encoder = programs.led_encoder(program, length, ENCODER_LAYERS)
    run = programs.encode(program, encoder, Document.random(length))
    peak = extra_mebibytes(run, programs.encode(program, encoder, _short(length)))
    return {"model": "LED", "length": length, "dtype": "float32", f"{PREFIX[program]}extra_mib": peak}


# --- decoder --------------------------------------------------------------------------------------


def decoder_step(beams: list[int], rounds: int) -> Iterator[tuple[str, Row]]:
    """Time one token of ``generate``, LED-base, a document of 16,384 tokens; also the cross-attention's cache."""
    models = programs.led_writers((OURS, THEIRS), DECODER_LENGTH)
    generator = torch.Generator().manual_seed(programs.SEED)
    states = torch.randn(1, DECODER_LENGTH, BASE["d_model"], generator=generator)
    for count in beams:
        row: Row = {"model": "LED", "beams": count, "length": DECODER_LENGTH}
        decoding = {name: Decoding(name, model, states, count) for name, model in models.items()}
        logits = [[d.step() for d in decoding.values()] for _ in range(3)][-1]  # the first step fills the cache
        difference = float((logits[0] - logits[1]).abs().max() / logits[1].abs().max())
        memory = {f"{PREFIX[name]}cross_cache_mib": d.cross_cache_mib() for name, d in decoding.items()}
        del decoding, logits
        times = token_times({name: Writing(model, states, count) for name, model in models.items()}, rounds)
        bound = {"bound_seconds": _step_bound(DECODER_LENGTH, count)}
        yield "decoder_step", {**row, "largest_difference": difference, **_seconds(times), **bound}
        yield "decoder_memory", {**row, **memory}


# --- document to summary --------------------------------------------------------------------------


def _generate(model: torch.nn.Module, document: Document, new_tokens: int = SUMMARY["new_tokens"]):
    def run() -> torch.Tensor:
        return model.generate(
            **document.inputs(),
            num_beams=SUMMARY["beams"],
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            do_sample=False,
        )

    return run


def _sharpen(model: torch.nn.Module) -> None:
    """Spread the logits: with fresh weights all tokens are nearly as likely, and rounding would choose the beams."""
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10)


def summary_time(rounds: int) -> Row:
    """Time from the document's tokens to the summary's, LED-base, with beam search."""
    models = programs.led_writers((OURS, THEIRS), SUMMARY["length"])
    _sharpen(models[OURS])
    document = Document.random(SUMMARY["length"], BASE["vocabulary"])
    for model in models.values():
        _generate(model, _short(SUMMARY["length"]), 4)()
    runs = {name: _generate(model, document) for name, model in models.items()}
    results: dict[str, torch.Tensor] = {}

    def kept(name: str):
        def run() -> None:
            results[name] = runs[name]()

        return run

    times = in_turns({name: kept(name) for name in runs}, rounds)
    same = torch.equal(results[OURS], results[THEIRS])
    length = SUMMARY["length"]
    work = encoder_work(length, WRITER_LAYERS)
    work += bounds.cross_keys(length, d_model=BASE["d_model"], layers=WRITER_LAYERS)
    bound = bounds.bound_seconds(work, machine.matmul_gflops())
    bound += SUMMARY["new_tokens"] * _step_bound(length, SUMMARY["beams"])
    return {"model": "LED", **SUMMARY, "same_ids": same, **_seconds(times), "bound_seconds": bound}


def summary_memory(program: str) -> Row:
    """Peak that the same adds to the weights."""
    model = programs.led_writer(program, SUMMARY["length"])
    document = Document.random(SUMMARY["length"], BASE["vocabulary"])
    peak = extra_mebibytes(_generate(model, document, 8), _generate(model, _short(SUMMARY["length"]), 4))
    return {"model": "LED", **SUMMARY, f"{PREFIX[program]}extra_mib": peak}


# --- training -------------------------------------------------------------------------------------


def _training_step(model: torch.nn.Module, length: int):
    document = Document.random(length, BASE["vocabulary"])
    labels = Document.random(TRAINING["target_tokens"], BASE["vocabulary"]).input_ids

    def run() -> None:
        model.zero_grad(set_to_none=True)
        model(**document.inputs(), labels=labels).loss.backward()

    return run


def training_time(rounds: int) -> Row:
    """Time forward and backward of one document, two layers on both sides, dropout 0.1."""
    models = programs.led_writers((OURS, THEIRS), TRAINING["length"], layers=TRAINING["layers"])
    for model in models.values():
        _training_step(model.train(), min(TRAINING["length"], WARM_UP))()
        model.zero_grad(set_to_none=True)
    runs = {name: _training_step(model, TRAINING["length"]) for name, model in models.items()}
    row = {"model": "LED", **TRAINING, **_seconds(in_turns(runs, rounds))}
    length, layers = TRAINING["length"], TRAINING["layers"]
    work = encoder_work(length, layers) + bounds.cross_keys(length, d_model=BASE["d_model"], layers=layers)
    work += bounds.decoder(TRAINING["target_tokens"], length, **_decoder_shape(layers))
    # The gradients of a product are two products of its size.
    return row | {"multiply_adds": 3 * work, "bound_seconds": bounds.bound_seconds(3 * work, machine.matmul_gflops())}


def training_memory(program: str) -> Row:
    """Peak that the same adds to the weights, gradients included."""
    model = programs.led_writer(program, TRAINING["length"], layers=TRAINING["layers"]).train()
    warm_up = _training_step(model, min(TRAINING["length"], WARM_UP))

    def start() -> None:
        warm_up()
        model.zero_grad(set_to_none=True)

    peak = extra_mebibytes(_training_step(model, TRAINING["length"]), start)
    return {"model": "LED", **TRAINING, f"{PREFIX[program]}extra_mib": peak}
