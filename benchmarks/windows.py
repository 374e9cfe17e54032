"""Windows of today's models, by transformers' sdpa and by this library: ``python -m benchmarks.windows``.

Models of the published shapes with random weights, fp32. The same class runs with ``attn_implementation="sdpa"``,
which masks a matrix of all pairs, and with ``"longsum"``, in turns; each run gives its processor seconds and the
memory that it added. What both gave is compared. Takes about half an hour; chapter 20 reads the file.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import machine
from .measure import mebibytes, reset_peak, summary
from .tables import rounded

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "longsum_lib" / "data" / "benchmarks" / "windows.json"
OURS, THEIRS = "longsum", "sdpa"
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 1000}
NOTE = (
    "Models of the published shapes with random weights and a small vocabulary, fp32, one thread. Seconds are "
    "processor time of the process; memory is the peak of a run above what the process held before it. sdpa: "
    "transformers' own implementation of the same class. Difference: largest of any element, beside the largest one."
)


@dataclass(frozen=True)
class Case:
    """One piece of work.

    Attributes:
        title: what it is.
        length: tokens.
        make: makes the model.
        turns: which implementation runs when.
        trains: whether a run is a step forward and backward.
    """

    title: str
    length: int
    make: Callable[[], torch.nn.Module]
    turns: tuple[str, ...]
    trains: bool = False


def modernbert(layers: int, only_windows: bool = False) -> torch.nn.Module:
    """ModernBERT-base: width 768, 12 heads, windows of 64 to each side in two of three layers."""
    from transformers import ModernBertConfig, ModernBertModel

    kinds = {"layer_types": ["sliding_attention"] * layers} if only_windows else {}
    sizes = {"num_hidden_layers": layers, "max_position_embeddings": 16384, "cls_token_id": 1, "sep_token_id": 2}
    return ModernBertModel(ModernBertConfig(**sizes, **kinds, **SPECIAL))


class WindowAttention(torch.nn.Module):
    """The attention of one window layer of ModernBERT-base and its mask; queries, keys and values are given."""

    def __init__(self) -> None:
        super().__init__()
        self.model = modernbert(1, True)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor]:
        """Attend; of the ids only the length counts."""
        from transformers.masking_utils import create_bidirectional_sliding_window_mask
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        config, layer = self.model.config, self.model.layers[0].attn
        generator = torch.Generator().manual_seed(0)
        shape = (1, input_ids.shape[1], 3, config.num_attention_heads, layer.head_dim)
        query, key, value = torch.randn(shape, generator=generator).transpose(1, 3).unbind(2)
        mask = create_bidirectional_sliding_window_mask(
            config=config, inputs_embeds=query[:, 0], attention_mask=torch.ones_like(input_ids)
        )
        attend = ALL_ATTENTION_FUNCTIONS[config._attn_implementation]
        return (attend(layer, query, key, value, mask, scaling=layer.head_dim**-0.5)[0],)


GEMMA = {
    **SPECIAL,
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "sliding_window": 512,
    "max_position_embeddings": 32768,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3,
}
"""The shape of Gemma 3 270M, which T5Gemma 2's smallest encoder has too."""


def gemma() -> torch.nn.Module:
    """Gemma 3 270M without its head: causal windows of 512 in five of six layers."""
    from transformers import Gemma3TextConfig, Gemma3TextModel

    return Gemma3TextModel(Gemma3TextConfig(**GEMMA))


def t5gemma2() -> torch.nn.Module:
    """The text encoder of T5Gemma 2 at 270M: windows that look both ways in five of six layers."""
    from transformers import T5Gemma2EncoderConfig
    from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = T5Gemma2EncoderConfig(
        text_config=GEMMA | {"dropout_rate": 0.0}, vision_config=vision | {"image_size": 28, "patch_size": 14}
    )
    return T5Gemma2Encoder(config)


TWICE, ONCE = (OURS, THEIRS, THEIRS, OURS), (OURS, THEIRS, OURS)
CASES = {
    "modernbert_attention": Case("ModernBERT-base, attention of a window layer", 16384, WindowAttention, TWICE),
    "modernbert_windows": Case("ModernBERT-base, two window layers", 16384, lambda: modernbert(2, True), TWICE),
    "modernbert_training": Case(
        "ModernBERT-base, two window layers, training step", 8192, lambda: modernbert(2, True), TWICE, trains=True
    ),
    "modernbert_base": Case("ModernBERT-base, all 22 layers", 8192, lambda: modernbert(22), TWICE),
    "gemma_prefill": Case("Gemma 3 270M, prefill", 16384, gemma, ONCE),
    "t5gemma2_encoder": Case("T5Gemma 2 270M, encoder", 16384, t5gemma2, ONCE),
}


def measure(name: str, length: int | None = None) -> list[dict[str, Any]]:
    """Run a case in its turns, in this process.

    Args:
        name: the case.
        length: tokens; ``None`` = the case's own.

    Returns:
        One row an implementation.
    """
    import longsum_lib
    from longsum_lib.upstream.transformers import use_attention

    longsum_lib.register_attention()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    case = CASES[name]
    model = case.make()
    model.train(case.trains)
    length = length or case.length
    ids, small = torch.randint(3, 1000, (1, length)), torch.randint(3, 1000, (1, 256))
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    memory: dict[str, list[float]] = {OURS: [], THEIRS: []}
    states: dict[str, torch.Tensor] = {}
    for turn in case.turns:
        use_attention(getattr(model, "model", model), turn)
        _run(model, small, case.trains)  # loads what is loaded once
        taken, extra, out = _measured(lambda: _run(model, ids, case.trains))
        seconds[turn].append(taken)
        memory[turn].append(extra)
        states.setdefault(turn, out)
        model.zero_grad(set_to_none=True)
    apart = float((states[OURS] - states[THEIRS]).abs().max() / states[THEIRS].abs().max())
    common = {"case": name, "title": case.title, "tokens": length}
    return [
        {**common, "program": turn, **summary(seconds[turn]), "extra_mib": max(memory[turn]), "difference": apart}
        for turn in (OURS, THEIRS)
    ]


def _run(model: torch.nn.Module, ids: torch.Tensor, trains: bool) -> torch.Tensor:
    options = {"use_cache": True} if "Gemma3" in type(model).__name__ else {}
    with torch.set_grad_enabled(trains):
        out = model(input_ids=ids, **options)[0]
        if trains:
            out.square().mean().backward()
    return out.detach()


def _measured(run: Callable[[], torch.Tensor]) -> tuple[float, float, torch.Tensor]:
    """Processor seconds, peak of added MiB, and the result."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = mebibytes("VmRSS")
    reset_peak()
    start = time.process_time()
    out = run()
    seconds = time.process_time() - start
    return seconds, max(0.0, mebibytes("VmHWM") - before), out


def main(arguments: list[str] | None = None) -> None:
    """Measure every case, each in a process of its own, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.windows", description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be given again")
    parser.add_argument("--length", type=int, help="tokens, instead of each case's own")
    parser.add_argument("--output", type=Path, default=FILE, help="result file; other cases in it stay")
    parser.add_argument("--here", choices=CASES, help="measure in this process and print rows as JSON")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(measure(options.here, options.length)))
        return
    old = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    rows = {row["case"] + row["program"]: row for row in old.get("windows", [])}
    for name in options.case or CASES:
        command = [sys.executable, "-m", "benchmarks.windows", "--here", name]
        command += ["--length", str(options.length)] if options.length else []
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        rows |= {row["case"] + row["program"]: row for row in json.loads(done.stdout.splitlines()[-1])}
        result = {
            "title": "Windows of today's models",
            "note": NOTE,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": {**machine.describe(), "cores": 1},
            "versions": machine.versions(),
            "windows": [rows[case + turn] for case in CASES for turn in (OURS, THEIRS) if case + turn in rows],
        }
        text = json.dumps(rounded(result), indent=1, ensure_ascii=False)
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
