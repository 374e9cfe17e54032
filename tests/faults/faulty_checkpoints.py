"""Checkpoints with one fault each, drawn by seed, and what loading them comes to.

Whatever a folder holds, ``load``, ``load_tokenizer`` and ``summarize`` work or say in one line what is wrong: no error
of another library, no long wait, nothing allocated for what the weights do not have.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoint import make_tokenizer

from longsum_lib import load, load_tokenizer, summarize
from longsum_lib.errors import LongsumError
from longsum_lib.loading.generation_file import CANNOT, KINDS
from longsum_lib.models.core.sizes import _DEPTHS, _WIDTHS
from longsum_lib.models.lsg.config import LSGBartConfig, LSGPegasusConfig
from longsum_lib.models.lsg.heads import LSGBartForConditionalGeneration, LSGPegasusForConditionalGeneration

TEXT = "The clerk wrote the figures down by hand. Nobody saw the ship leave the harbour on Tuesday."
WRONG: tuple[Any, ...] = ("many", 7.5, -3, [], {}, [[1]], True, {"a": 1}, [None], "", 10**30, None)
LIES = (10**3, 2000, 10**6, 4 * 10**6, 10**9)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a faulty checkpoint came to.

    Args:
        kind: ``"works"``, ``"refused"`` (one line of this library) or ``"raw"`` (anything else).
        message: What was said.
        seconds: How long it took.
    """

    kind: str
    message: str
    seconds: float


def make_good(folder: Path) -> list[Path]:
    """Write one whole checkpoint of each kind of model that writes."""
    models = {name: family.ours()(family.config(vocab_size=400)) for name, family in families.FAMILIES.items()}
    sizes = {"vocab_size": 400, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64}
    sizes |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4)
    sizes |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48)
    sizes |= {"block_size": 16, "sparse_block_size": 8}
    models["lsg_bart"] = LSGBartForConditionalGeneration(LSGBartConfig(**sizes))
    models["lsg_pegasus"] = LSGPegasusForConditionalGeneration(LSGPegasusConfig(**sizes))
    for name, model in models.items():
        model.generation_config.max_new_tokens = 6
        model.save_pretrained(folder / name)
        make_tokenizer().save_pretrained(folder / name)
    return [folder / name for name in models]


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    change(content)
    path.write_text(json.dumps(content))


def lying_size(folder: Path, draw: random.Random) -> str:
    """A size in the config that the weights do not have."""
    config = json.loads((folder / "config.json").read_text())
    field = draw.choice([name for name in (*_WIDTHS, *_DEPTHS) if isinstance(config.get(name), int)] + ["num_labels"])
    value = draw.choice(LIES)
    _edit(folder / "config.json", lambda content: content.update({field: value}))
    return f"config.json {field}={value}"


def wrong_kind_in_config(folder: Path, draw: random.Random) -> str:
    """A value of the wrong kind anywhere in the config."""
    config = json.loads((folder / "config.json").read_text())
    field = draw.choice(sorted({*config, "architectures", "model_type", "id2label", "is_encoder_decoder"}))
    value = draw.choice(WRONG)
    _edit(folder / "config.json", lambda content: content.update({field: value}))
    return f"config.json {field}={value!r}"


def wrong_kind_in_generation(folder: Path, draw: random.Random) -> str:
    """A value of the wrong kind, or of a way of writing that needs more, in the generation config."""
    field, value = draw.choice(sorted({*KINDS, *CANNOT})), draw.choice((*WRONG, 0, 2, 1, [3], [[5, 6]], 10**5))
    _edit(folder / "generation_config.json", lambda content: content.update({field: value}))
    return f"generation_config.json {field}={value!r}"


def wrong_kind_in_tokenizer(folder: Path, draw: random.Random) -> str:
    """A value of the wrong kind in the tokenizer's files."""
    name = draw.choice(("tokenizer_config.json", "tokenizer.json"))
    field = draw.choice(sorted({*json.loads((folder / name).read_text()), "tokenizer_class", "auto_map", "backend"}))
    value = draw.choice(WRONG)
    _edit(folder / name, lambda content: content.update({field: value}))
    return f"{name} {field}={value!r}"


def wrong_index(folder: Path, draw: random.Random) -> str:
    """A list of shards that names something else than files beside it."""
    shard = draw.choice(("../model.safetensors", "/etc/hostname", 7, ["a"], None, "", "..", "missing.safetensors", {}))
    (folder / "model.safetensors").unlink()
    names = draw.choice(({"shared.weight": shard}, {}, [], 7, {"shared.weight": "config.json"}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return f"index {names!r}"


def wrong_bytes(folder: Path, draw: random.Random) -> str:
    """Bytes of a file lost, changed or replaced by zeros."""
    path = folder / draw.choice(("model.safetensors", "config.json", "tokenizer.json", "generation_config.json"))
    data = bytearray(path.read_bytes())
    how = draw.choice(("cut", "flip", "zeros", "empty", "header"))
    place = draw.randrange(len(data))
    if how == "cut":
        data = data[:place]
    elif how == "empty":
        data = bytearray()
    elif how == "zeros":
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
    else:
        for _ in range(20):
            data[draw.randrange(min(len(data), 3000) if how == "header" else len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))
    return f"{path.name} {how} at {place}"


def wrong_quantization(folder: Path, draw: random.Random) -> str:
    """An entry that says that plain weights are quantized."""
    entry = draw.choice(
        (
            *(
                {"quant_method": "bitsandbytes", "load_in_8bit": True},
                {"quant_method": "bitsandbytes"},
                {},
                [],
                3,
                "nf4",
            ),
            *({"load_in_4bit": True}, {"quant_method": "gptq", "bits": 4}, {"quant_method": 7}, {"quant_method": "no"}),
        )
    )
    _edit(folder / "config.json", lambda content: content.update({"quantization_config": entry}))
    return f"quantization_config={entry!r}"


def wrong_tensor(folder: Path, draw: random.Random) -> str:
    """A weight that is lost, renamed, of another shape or format, or no number."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    key = draw.choice(sorted(tensors))
    how = draw.choice(("lost", "renamed", "shape", "int8", "nan", "scalar"))
    tensor = tensors.pop(key)
    if how == "renamed":
        tensors[f"other.{key}"] = tensor
    elif how == "shape":
        tensors[key] = tensor[None].repeat(2, *[1] * tensor.dim()).flatten(0, 1) if tensor.dim() else tensor[None]
    elif how == "int8":
        tensors[key] = tensor.to(torch.int8)
    elif how == "nan":
        tensors[key] = torch.full_like(tensor, float("nan"))
    elif how == "scalar":
        tensors[key] = torch.tensor(1.0)
    save_file(tensors, path, metadata={"format": "pt"})
    return f"{key} {how}"


FAULTS: tuple[Callable[[Path, random.Random], str], ...] = (
    lying_size,
    wrong_kind_in_config,
    wrong_kind_in_generation,
    wrong_kind_in_tokenizer,
    wrong_index,
    wrong_bytes,
    wrong_quantization,
    wrong_tensor,
)


def make_faulty(good: list[Path], seed: int, folder: Path) -> str:
    """Copy one of the good checkpoints and break it in one way; returns what was done."""
    draw = random.Random(seed)
    source = good[seed % len(good)]
    shutil.copytree(source, folder)
    return f"{source.name}: {FAULTS[(seed // len(good)) % len(FAULTS)](folder, draw)}"


def try_out(folder: Path) -> Outcome:
    """Load a checkpoint and let it write."""
    started = time.perf_counter()
    kind, message = "works", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, tokenizer = load(folder), load_tokenizer(folder)
            summarize(TEXT, model, tokenizer=tokenizer, max_new_tokens=4)
    except LongsumError as error:
        message = str(error)
        kind = "refused" if message and "\n" not in message and len(message) < 1000 else "raw"
    except Exception as error:  # the harness counts whatever else comes out
        kind, message = "raw", f"{type(error).__name__}: {error}"
    return Outcome(kind, message, time.perf_counter() - started)
