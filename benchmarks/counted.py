"""What a GPU would be given to do, counted without one: memory of tensors, operations, and waits of the processor.

``python -m benchmarks.counted --output FILE`` runs LED-base of ours and of transformers on a pretended GPU, which
computes on the CPU. Memory is the most that tensors hold at a time, in the steps of torch's allocator; what kernels
need for themselves and what the allocator keeps is not in it. An operation is one of torch's that is more than a view:
a kernel, or a few. Nothing here says how long anything takes.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from tools.pretend_gpu import Card, pretended_gpu

from . import encoders, machine
from .cuda import SMALL, Bench, Sizes, _document, _given, _made, _pair
from .programs import BASE, OURS, led_encoder

Row = dict[str, Any]
NO_KERNELS = frozenset(
    [
        "alias",
        "as_strided",
        "detach",
        "expand",
        "permute",
        "select",
        "slice",
        "split",
        "squeeze",
        "t",
        "transpose",
        "unbind",
        "unsqueeze",
        "view",
    ]
)
"""What only looks at a tensor in another way."""


def count(card: Card, run: Callable[[], object]) -> Row:
    """Run something once and count."""
    gc.collect()
    before, replays = card.memory.taken, card.replays
    card.memory.peak = before
    card.kernels.clear()
    card.waits.clear()
    run()
    return {
        "mib": round((card.memory.peak - before) / 2**20, 1),
        "kernels": sum(number for name, number in card.kernels.items() if name not in NO_KERNELS),
        "waits": len(card.waits),
        "replays": card.replays - replays,
    }


def encoder(card: Card, bench: Bench) -> list[Row]:
    """LED's encoder, one document without padding."""
    document = _document(bench, bench.sizes.length)
    rows = []
    with torch.inference_mode():
        for name, model in _pair(bench).items():
            rows.append({"program": name, **count(card, lambda m=model: m.get_encoder()(**document))})
    return rows


def training(card: Card, bench: Bench) -> list[Row]:
    """Forward and backward, with checkpointing of layers on both sides; gradients of all weights are in it."""
    document = _document(bench, bench.sizes.train_length)
    document["labels"] = torch.randint(3, 1000, (1, 64), device=bench.device)
    rows = []
    for name, model in _pair(bench, train=True).items():
        model.gradient_checkpointing_enable()
        found = count(card, lambda m=model: m(**document, use_cache=False).loss.backward())
        rows.append({"program": name, **found})
    return rows


def decoding(card: Card, bench: Bench) -> list[Row]:
    """One token with beams, beside an encoded document: the difference of a longer and a shorter summary."""
    document, sizes = _document(bench, bench.sizes.length), bench.sizes
    mask, rows = document["attention_mask"], []
    with torch.inference_mode():
        for name, model in _pair(bench).items():
            model.records_steps = name == OURS
            states = model.get_encoder()(**document)
            found = []
            for tokens in (sizes.new_tokens // 2, sizes.new_tokens):
                length = {"max_new_tokens": tokens, "min_new_tokens": tokens, "num_beams": sizes.beams}
                found.append(
                    count(card, partial(model.generate, encoder_outputs=states, attention_mask=mask, **length))
                )
            more = sizes.new_tokens - sizes.new_tokens // 2
            a_token = {key: round((found[1][key] - found[0][key]) / more, 2) for key in ("kernels", "waits", "replays")}
            rows.append({"program": name, "mib": found[1]["mib"], **a_token})
    return rows


def layers(card: Card, bench: Bench) -> list[Row]:
    """What one layer more gives a GPU to do, of each model of ours; counted in narrow layers, to save time."""
    ids = torch.randint(3, 1000, (1, bench.sizes.length), device=bench.device)
    document = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    makers = {"LED": partial(led_encoder, OURS, bench.sizes.length)}
    for name, found in encoders.ENCODERS.items():
        makers[name] = partial(_with_layers, found, bench.sizes.length)
    rows = []
    with torch.inference_mode(), mock.patch.dict(BASE, d_model=64, heads=4, ffn=128):
        for name, make in makers.items():
            given = _given(ids) if name == "LED" else document
            one, two = (count(card, partial(_put(make(number), bench), **given)) for number in (1, 2))
            rows.append({"model": name, **{key: two[key] - one[key] for key in ("kernels", "waits")}})
    return rows


def _with_layers(found: encoders.Encoder, length: int, number: int) -> torch.nn.Module:
    with mock.patch.object(encoders, "LAYERS", number):
        return found.build(OURS, length)


def _put(model: torch.nn.Module, bench: Bench) -> torch.nn.Module:
    with torch.inference_mode(False):
        return model.to(bench.device, bench.dtype)


CASES = {"encoder": encoder, "training": training, "decoding": decoding, "layers": layers}


def main(arguments: list[str] | None = None) -> None:
    """Count and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counted", description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="sizes of a test")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    sizes = SMALL if options.small else Sizes(new_tokens=16)
    stored: Row = {
        "title": "Memory, operations and waits on a GPU, counted without one",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "settings": {key: value for key, value in vars(sizes).items() if key != "rounds"}
        | {"capability": "9.0", "dtype": "bf16"},
    }
    with pretended_gpu((9, 0)) as card:
        for name, case in CASES.items():
            stored[f"counted_{name}"] = case(card, Bench(torch.device("cuda"), torch.bfloat16, sizes))
            options.output.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    _made.cache_clear()  # which lie on this card


if __name__ == "__main__":
    main()
