"""``longsum memory``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from longsum_lib.budget.formulas import LONGEST
from longsum_lib.cli.numbers import positive, whole_number
from longsum_lib.memory import CARDS, GIBIBYTE, PARTS, Limit, model_numbers, predict, what_limits
from longsum_lib.units import gib

if TYPE_CHECKING:
    from longsum_lib.budget.formulas import ModelNumbers


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``longsum memory``."""
    argument = parser.add_argument
    argument("model", metavar="MODEL", help="a bundled model, a checkpoint's folder or a name on the hub")
    count = whole_number(1, LONGEST)
    argument("--length", type=count, default=16384, metavar="N", help="input tokens (default: %(default)s)")
    argument("--beams", type=count, default=4, metavar="N", help="beams of beam search (default: %(default)s)")
    argument("--batch", type=count, default=1, metavar="N", help="documents at once (default: %(default)s)")
    argument("--new-tokens", type=count, default=256, metavar="N", help="length of the summary (default: %(default)s)")
    formats = "fp32, bf16 or fp16 (default: auto, which is fp32, beside int8 on a CPU bf16)"
    argument("--dtype", default="auto", metavar="NAME", help=formats)
    argument("--quantize", choices=("int8", "nf4", "fp4"), help="quantized weights")
    argument("--device", choices=("cpu", "gpu"), default="cpu", help="where it runs (default: %(default)s)")
    argument("--memory", type=positive(), metavar="GIB", help="also find the longest input that fits into so many GiB")
    argument("--output", choices=("text", "json"), default="text", help="json is one object, in bytes (default: text)")


def run(options: argparse.Namespace) -> int:
    """Print what ``longsum memory`` was asked for."""
    numbers = model_numbers(options.model)
    run = {
        "beams": options.beams,
        "batch": options.batch,
        "new_tokens": options.new_tokens,
        "dtype": options.dtype,
        "quantization": options.quantize,
        "device": options.device,
        "half": _multiplies_half(options),
    }
    result = predict(numbers, length=options.length, **run)
    places = CARDS if options.memory is None else {f"{options.memory:g} GiB": options.memory}
    run["device"] = "gpu" if options.memory is None else options.device
    limits = {name: what_limits(numbers, size * GIBIBYTE, **run) for name, size in places.items()}
    if options.output == "json":
        fits = {name: limit["tokens"] for name, limit in limits.items()}
        more = {"largest_input": fits, "limits": limits}
        print(json.dumps({"model": options.model, "length": options.length, **result, **more}))
        return 0
    _print_result(options, numbers, result, limits)
    return 0


def _multiplies_half(options: argparse.Namespace) -> bool:
    """Whether this processor has instructions for bf16; torch, which knows, is imported only where that matters."""
    if options.device != "cpu" or (options.quantize != "int8" and options.dtype in ("auto", "fp32", "float32")):
        return True
    from longsum_lib.upstream.torch import lacks_half

    return not lacks_half()


def _print_result(
    options: argparse.Namespace, numbers: ModelNumbers, result: Mapping[str, float], limits: Mapping[str, Limit]
) -> None:
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bf16" if options.quantize == "int8" and options.device == "cpu" else "fp32"
    kind = dtype if options.quantize is None else f"{dtype}, weights {options.quantize}"
    print(f"{options.model}, {options.length:,} tokens, {options.beams} beams, {kind}, on a {options.device.upper()}")
    rows = {
        f"weights ({result['parameters'] / 1e6:.0f} million)": result["weights"],
        "while encoding, beside them": result["encoder"],
        "while writing, beside them": result["decoder"],
        "  keys and values of the document": result["cross_cache"],
        "  keys and values of the summaries": result["self_cache"],
        "beside tensors": result["workspace"],
        "peak": result["total"],
    }
    for name, size in rows.items():
        print(f"  {name:<36} {gib(size):>10}")
    print("longest input that fits")
    for name, limit in limits.items():
        tokens = f"{limit['tokens']:,}" if limit["tokens"] else "none"
        print(f"  {name:<36} {tokens:>10} {'tokens' if limit['tokens'] else '      '}  {_what_sets(limit)}")
    if numbers.get("limit") and options.length > numbers["limit"]:
        print(f"note: this model takes at most {numbers['limit']:,} tokens")


def _what_sets(limit: Limit) -> str:
    """Say in words what sets the longest input."""
    part = PARTS[limit["largest"]]
    if not limit["tokens"]:
        return f"most of what one token takes are {part}"
    if limit["set_by"] == "positions":
        return f"set by its position table; the memory would do for {limit['without_table']:,}, most of it {part}"
    if limit["set_by"] == "search":
        return "the longest that is looked for"
    return f"set by {part}, {limit['share']:.0%} of the peak"
