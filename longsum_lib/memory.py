"""How much memory a summary will take, and the longest document that fits: without loading a weight.

>>> numbers = model_numbers("google/pegasus-x-large")
>>> needed = predict(numbers, length=16384, beams=4, dtype="bf16", quantization="nf4", device="gpu")
>>> f"{needed['weights'] / 2**30:.2f} GiB of weights, {needed['cross_cache'] / 2**30:.1f} GiB of keys and values"
'0.41 GiB of weights, 1.0 GiB of keys and values'
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

from longsum_lib.budget.formulas import BITS, LONGEST, ModelNumbers, plan
from longsum_lib.errors import CorruptCheckpoint, OptionError, UnsupportedModel, did_you_mean
from longsum_lib.units import DTYPE_NAMES

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from longsum_lib.loading.registry import ModelType

GIBIBYTE = 2**30

CARDS = {"T4": 14.7, "A100-40": 39.5, "A100-80": 79.2}
"""Memory of GPUs in GiB, as torch reports it: a T4 of 15 GiB lends 14.7."""

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}


def published() -> dict[str, ModelNumbers]:
    """Return the sizes of published checkpoints, by their names on the hub."""
    table = json.loads(resources.files("longsum_lib").joinpath("data/published.json").read_text())
    return cast("dict[str, ModelNumbers]", table["models"])


def published_decoders() -> dict[str, dict[str, int]]:
    """Return the sizes of some language models that only write, as :class:`.budget.decoder.DecoderNumbers` takes them.

    Example:
        >>> published_decoders()["Qwen3 4B"]["layers"]
        36
    """
    table = json.loads(resources.files("longsum_lib").joinpath("data/published.json").read_text())
    return cast("dict[str, dict[str, int]]", table["decoders"])


def model_numbers(name: str) -> ModelNumbers:
    """Return the numbers of a model: of the table of published ones, else of its config.

    Args:
        name: A bundled name, a checkpoint's folder, or a name on the hub, whose config is read if it is not in the
            table. Weights are never read.

    Raises:
        ModelNotFound: There is no such model.
        UnsupportedModel: Its type is not of this library, or it writes no summaries.
    """
    table = published()
    if name in table:
        return table[name]
    from longsum_lib.loading import checkpoint_files
    from longsum_lib.stored.folder import read_config

    checkpoint = checkpoint_files.find_checkpoint(name, weights=False)
    return config_numbers(read_config(checkpoint.folder), checkpoint.name)


def config_numbers(config: PreTrainedConfig | Mapping[str, Any], name: str = "the model") -> ModelNumbers:
    """Return the numbers of a model that its config says.

    Args:
        config: A config of transformers or of this library, or the parsed ``config.json``.
        name: For messages.

    Raises:
        UnsupportedModel: No model of this library that writes summaries.
        CorruptCheckpoint: The config holds something else than a model's sizes.

    Example:
        >>> from transformers import LEDConfig
        >>> config_numbers(LEDConfig(d_model=64, encoder_attention_heads=4))["inner"]
        64
    """
    from longsum_lib.loading import registry

    fields = dict(config) if isinstance(config, Mapping) else _config_fields(config)
    model_type = registry.detect_model_type(fields)
    entry = registry.find_model_type(model_type, name)
    if "summarization" not in entry.classes:
        raise UnsupportedModel(f"{name} is an encoder ({model_type}); expected a model that writes summaries")
    try:
        if isinstance(config, Mapping):  # a file leaves out what is the default
            fields = _config_fields(_config_class(entry)(**{k: v for k, v in fields.items() if k != "model_type"}))
        numbers = _READERS[model_type](fields)
        numbers["limit"] = fields.get(entry.length_field or "") or 0
    except Exception as error:  # what a config may hold is checked by transformers, each kind in its own words
        raise CorruptCheckpoint(f"{name}: its config is of no model: {' '.join(str(error).split())}") from error
    read: Mapping[str, object] = numbers
    for size in ("vocabulary", "d_model", "inner", "heads", "ffn", "encoder_layers", "decoder_layers"):
        value = read[size]
        if not isinstance(value, int) or value < 1:
            raise CorruptCheckpoint(f"{name}: its config has {size} {value!r}, expected a number of at least 1")
    return numbers


def _config_fields(config: PreTrainedConfig) -> dict[str, Any]:
    return {**config.to_dict(), "architectures": getattr(config, "architectures", None)}


def _config_class(entry: ModelType) -> type[PreTrainedConfig]:
    from longsum_lib.loading.registry import find_model_class

    return cast("type[PreTrainedConfig]", find_model_class(entry, "summarization").config_class)


def _bart_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    return {
        "vocabulary": c["vocab_size"],
        "d_model": c["d_model"],
        "inner": c["d_model"],
        "heads": c["encoder_attention_heads"],
        "ffn": c["encoder_ffn_dim"],
        "encoder_layers": c["encoder_layers"],
        "decoder_layers": c["decoder_layers"],
    }


def _led_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    window = c["attention_window"]
    sizes: ModelNumbers = {
        "family": "led",
        "window": (window if isinstance(window, int) else max(window)) // 2,
        "globals": 1,
        "positions": c["max_encoder_position_embeddings"],
        "decoder_positions": c["max_decoder_position_embeddings"],
    }
    return {**_bart_numbers(c), **sizes}


def _pegasus_x_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    sizes: ModelNumbers = {"family": "pegasus_x", "block_size": c["block_size"], "globals": c["num_global_tokens"]}
    return {**_bart_numbers(c), **sizes}


def _bigbird_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    sizes: ModelNumbers = {
        "family": "bigbird_pegasus",
        "block_size": c["block_size"],
        "random_blocks": c["num_random_blocks"],
        "positions": c["max_position_embeddings"],
        "decoder_positions": c["max_position_embeddings"],
    }
    return {**_bart_numbers(c), **sizes}


def _lsg_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    pegasus = c["model_type"] == "lsg_pegasus"
    rows = c["max_position_embeddings"] + (0 if pegasus else 2)
    sparse = c["sparsity_type"] not in (None, "none") and c["sparse_block_size"] > 0 and c["sparsity_factor"] > 0
    sizes: ModelNumbers = {
        "family": "lsg",
        "block_size": c["block_size"],
        "sparse_block_size": c["sparse_block_size"] if sparse else 0,
        "sparsity_factor": c["sparsity_factor"] if sparse else 0,
        "globals": c["num_global_tokens"],
        "sinusoids": int(pegasus),
        "positions": rows,
        "decoder_positions": rows,
    }
    return {**_bart_numbers(c), **sizes}


def _longt5_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    transient = c["encoder_attention_type"] == "transient-global"
    return {
        "family": "longt5_tglobal" if transient else "longt5_local",
        "vocabulary": c["vocab_size"],
        "d_model": c["d_model"],
        "inner": c["num_heads"] * c["d_kv"],
        "heads": c["num_heads"],
        "ffn": c["d_ff"],
        "gated": int(c["feed_forward_proj"].startswith("gated")),
        "untied_head": int(not c["tie_word_embeddings"]),
        "encoder_layers": c["num_layers"],
        "decoder_layers": c["num_decoder_layers"],
        "window": c["local_radius"],
        "block_size": c["global_block_size"] if transient else 0,
        "buckets": c["relative_attention_num_buckets"],
    }


def _t5gemma2_numbers(c: Mapping[str, Any]) -> ModelNumbers:
    reads, writes = c["encoder"]["text_config"], c["decoder"]
    for name in ("num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size"):
        if reads[name] != writes[name]:
            raise ValueError(f"{name} is {reads[name]} in its encoder and {writes[name]} in its decoder")
    return {
        "family": "t5gemma2",
        "vocabulary": writes["vocab_size"],
        "d_model": writes["hidden_size"],
        "inner": writes["num_attention_heads"] * writes["head_dim"],
        "key_inner": writes["num_key_value_heads"] * writes["head_dim"],
        "heads": writes["num_attention_heads"],
        "ffn": writes["intermediate_size"],
        "gated": 1,
        "encoder_layers": reads["num_hidden_layers"],
        "decoder_layers": writes["num_hidden_layers"],
        "full_layers": reads["layer_types"].count("full_attention"),
        "window": reads["sliding_window"],
    }


_READERS: dict[str, Callable[[Mapping[str, Any]], ModelNumbers]] = {
    "led": _led_numbers,
    "pegasus_x": _pegasus_x_numbers,
    "bigbird_pegasus": _bigbird_numbers,
    "lsg_pegasus": _lsg_numbers,
    "lsg_bart": _lsg_numbers,
    "longt5": _longt5_numbers,
    "t5gemma2": _t5gemma2_numbers,
}


class Run(TypedDict, total=False):
    """How documents are summarized, as :func:`predict` takes it beside their length."""

    beams: int
    batch: int
    new_tokens: int
    dtype: str
    quantization: str | None
    device: str
    half: bool


def predict(
    numbers: ModelNumbers,
    *,
    length: int,
    beams: int = 1,
    batch: int = 1,
    new_tokens: int = 256,
    dtype: str = "auto",
    quantization: str | None = None,
    device: str = "cpu",
    half: bool = True,
) -> dict[str, float]:
    """Predict memory and work of summarizing documents with this library; see :func:`.formulas.plan`.

    Args:
        numbers: The model, from :func:`model_numbers` or :func:`config_numbers`.
        length: Input tokens of each document.
        beams: Beams of beam search.
        batch: Documents at once.
        new_tokens: Length of the summary.
        dtype: ``"fp32"``, ``"bf16"``, ``"fp16"``, or ``"auto"``: fp32, beside int8 on a CPU bf16, as
            :func:`.auto.load` has it.
        quantization: ``"int8"``, on a CPU beside bf16 by torch and with the token table, else by bitsandbytes;
            ``"nf4"``, ``"fp4"``; ``"nf4-plain"`` and ``"fp4-plain"`` without double quantization; None for none.
        device: ``"cpu"``, or ``"gpu"``: tested against the tensors of a pretended one, not measured on a card.
        half: Whether the CPU has instructions for bf16; without them products and temporaries are others.

    Returns:
        Bytes and multiply-adds by name.

    Raises:
        OptionError: An option makes no sense.
    """
    for value, name in ((length, "length"), (beams, "beams"), (batch, "batch"), (new_tokens, "new_tokens")):
        if value < 1:
            raise OptionError(option=name, got=value, expected="at least 1")
    if dtype == "auto":
        dtype = "bf16" if quantization == "int8" and device == "cpu" else "fp32"
    if dtype not in DTYPE_NAMES:
        raise OptionError(
            f"unknown number format {dtype!r}{did_you_mean(dtype, DTYPE_NAMES)}; expected auto, fp32, bf16, fp16"
        )
    if (quantization or "none") not in BITS:
        raise OptionError(f"unknown quantization {quantization!r}; expected one of: {', '.join(BITS)}")
    if device not in ("cpu", "gpu"):
        raise OptionError(f"unknown device {device!r}; expected cpu or gpu")
    run: dict[str, float | str] = {
        "length": length,
        "batch": batch,
        "beams": beams,
        "new_tokens": new_tokens,
        "bytes_per_number": SIZES[DTYPE_NAMES[dtype]],
        "fp16": int(DTYPE_NAMES[dtype] == "float16"),
        "quantization": quantization or "none",
        "device": device,
        "half": int(half),
    }
    return plan({**cast("Mapping[str, float | str]", numbers), **run})


PARTS = {
    "weights": "the weights",
    "states": "the encoder's states",
    "layer": "what a layer of the encoder computes",
    "cross_cache": "the document's keys and values",
    "self_cache": "the keys and values of the summaries",
    "other": "the logits and what is laid out anew",
}
"""What memory is taken by at the peak, in words."""


class Limit(TypedDict):
    """What sets the longest input that fits into some memory; see :func:`what_limits`."""

    tokens: int
    set_by: str
    without_table: int
    largest: str
    share: float


def what_limits(numbers: ModelNumbers, memory: float, **options: Unpack[Run]) -> Limit:
    """Say how long an input may be in some memory, and what sets that length.

    Args:
        numbers: The model.
        memory: In bytes.
        **options: As for :func:`predict`, without ``length``.

    Returns:
        ``tokens`` as :func:`largest_input` has it; ``set_by``: ``"positions"`` where the model's position table ends
        before the memory does, ``"search"`` at ``LONGEST``, else ``"memory"``; ``without_table``, the length at which
        the memory would end if the table did not; ``largest``, the one of ``PARTS`` that takes most of the memory
        there, and its ``share`` of the peak.

    Example:
        >>> led = model_numbers("allenai/led-base-16384")
        >>> limit = what_limits(led, 16 * 2**30, beams=4)
        >>> limit["tokens"], limit["set_by"], 380_000 < limit["without_table"] < 440_000
        (16384, 'positions', True)
    """
    tokens = largest_input(numbers, memory, **options)
    free = cast("ModelNumbers", {**numbers, "limit": 0})
    without = largest_input(free, memory, **options)
    largest, share = _largest_part(numbers, max(1, without), options)
    ends = {numbers.get("limit"): "positions", LONGEST: "search"}
    set_by = ends.get(tokens, "memory") if tokens < without or tokens == LONGEST else "memory"
    return {"tokens": tokens, "set_by": set_by, "without_table": without, "largest": largest, "share": share}


def _largest_part(numbers: ModelNumbers, length: int, options: Run) -> tuple[str, float]:
    """Name the part that takes most at the peak, and its share of the peak."""
    found = predict(numbers, length=length, **options)
    states = found["states"]
    if found["encoder"] > found["decoder"]:
        parts = {"states": states, "layer": found["encoder"] - states}
    else:
        kept = {"cross_cache": found["cross_cache"], "self_cache": found["self_cache"], "states": states}
        parts = {**kept, "other": found["decoder"] - sum(kept.values())}
    parts["weights"] = found["weights"]
    name = max(parts, key=lambda part: parts[part])
    return name, parts[name] / found["total"]


def largest_input(numbers: ModelNumbers, memory: float, **options: Unpack[Run]) -> int:
    """Return the longest input in tokens whose summary fits into some memory, 0 if none does.

    Args:
        numbers: The model.
        memory: In bytes.
        **options: As for :func:`predict`, without ``length``.

    Returns:
        At most what the model's position table takes, and at most ``LONGEST``.

    Example:
        >>> large = model_numbers("google/long-t5-tglobal-xl")
        >>> options = {"beams": 4, "dtype": "bf16", "device": "gpu"}
        >>> largest_input(large, 14.7 * 2**30, **options) > 16384
        True
    """
    if not memory > 0:
        raise OptionError(f"memory is {memory!r}, expected a number of bytes above 0")
    shortest, longest = 0, int(numbers.get("limit") or LONGEST)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if predict(numbers, length=middle, **options)["total"] <= memory:
            shortest = middle
        else:
            longest = middle - 1
    return shortest
