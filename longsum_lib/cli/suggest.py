"""What somebody may have meant who typed a command or an option that is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from longsum_lib.errors import did_you_mean

_COMMANDS = {
    **dict.fromkeys(("summarise", "summary", "summarization", "sum", "run", "extract"), "summarize"),
    **dict.fromkeys(("eval", "test", "score", "benchmark", "rouge"), "evaluate"),
    **dict.fromkeys(("finetune", "fine-tune", "fine_tune", "fit"), "train"),
    **dict.fromkeys(("convert", "lsg", "convert_lsg"), "convert-lsg"),
    **dict.fromkeys(("list", "ls", "model"), "models"),
    **dict.fromkeys(("pull", "get", "fetch", "install"), "download"),
    **dict.fromkeys(("mem", "vram", "estimate"), "memory"),
    **dict.fromkeys(("documents", "data", "synthetic"), "corpus"),
}
# What other programs call an option -> what it may be called here; the first one that the command has is meant.
_OPTIONS = {
    **dict.fromkeys(("max-length", "max-tokens", "max-summary-length", "length"), ("--max-new-tokens", "--max-length")),
    **dict.fromkeys(("min-length", "min-tokens"), ("--min-new-tokens",)),
    **dict.fromkeys(("beams", "beam-size", "beam", "num-beam"), ("--num-beams", "--beams")),
    **dict.fromkeys(("num-beams",), ("--beams",)),
    **dict.fromkeys(("ngram", "no-repeat-ngram"), ("--no-repeat-ngram-size",)),
    **dict.fromkeys(("m", "model-name", "model-name-or-path", "checkpoint"), ("--model",)),
    **dict.fromkeys(("o", "out", "output-file", "output-dir", "outfile", "save"), ("--into", "--output", "--json")),
    **dict.fromkeys(("f", "format", "json"), ("--output",)),
    **dict.fromkeys(("quantization", "load-in-8bit", "load-in-4bit", "8bit", "4bit"), ("--quantize",)),
    **dict.fromkeys(("fp16", "bf16", "fp32", "half", "torch-dtype", "precision"), ("--dtype", "--precision")),
    **dict.fromkeys(("gpu", "cuda", "cpu", "mps"), ("--device",)),
    **dict.fromkeys(("dataset-name", "data", "train-file", "test-file"), ("--dataset",)),
    **dict.fromkeys(("lr",), ("--learning-rate",)),
    **dict.fromkeys(("bs", "b", "batch", "per-device-train-batch-size"), ("--batch-size", "--batch")),
    **dict.fromkeys(("gradient-accumulation-steps", "gradient-accumulation"), ("--accumulation",)),
    **dict.fromkeys(("num-train-epochs", "e", "num-epochs"), ("--epochs",)),
    **dict.fromkeys(("max-steps",), ("--steps",)),
    **dict.fromkeys(("warmup-ratio", "warmup-steps"), ("--warmup",)),
    **dict.fromkeys(("max-source-length", "max-input-length"), ("--max-input-tokens", "--truncate")),
    **dict.fromkeys(("max-target-length",), ("--max-summary-tokens", "--max-new-tokens")),
    **dict.fromkeys(("num-samples", "max-samples", "n"), ("--limit", "--count")),
    **dict.fromkeys(("chunk", "chunks", "map-reduce"), ("--split",)),
    **dict.fromkeys(("truncation",), ("--truncate",)),
    **dict.fromkeys(("force", "overwrite"), ("--force", "--anyway")),
    **dict.fromkeys(("h",), ("--help",)),
}


def hint_of_command(name: str, known: Iterable[str]) -> str:
    """Return which command may be meant, or which there are.

    Example:
        >>> hint_of_command("summarise", ["summarize", "models"])
        ' (did you mean summarize?)'
        >>> hint_of_command("sing", ["summarize", "models"])
        '; expected one of: summarize, models'
    """
    known = list(known)
    meant = _COMMANDS.get(name.lower())
    if meant in known:
        return f" (did you mean {meant}?)"
    return did_you_mean(name, known) or f"; expected one of: {', '.join(known)}"


def hint_of_option(name: str, known: Collection[str]) -> str:
    """Return which option may be meant; nothing if none is near.

    Example:
        >>> hint_of_option("--max-length", ["--max-new-tokens", "--model"])
        ' (did you mean --max-new-tokens?)'
        >>> hint_of_option("--numbeams", ["--num-beams", "--model"])
        ' (did you mean --num-beams?)'
    """
    plain = name.lstrip("-").replace("_", "-").lower()
    if f"--{plain}" in known:
        return f" (did you mean --{plain}?)"
    meant = next((option for option in _OPTIONS.get(plain, ()) if option in known), None)
    if meant is not None:
        return f" (did you mean {meant}?)"
    return did_you_mean(f"--{plain}", [option for option in known if option.startswith("--")])


def hint_of_output(message: str, known: Collection[str]) -> str:
    """Return where results go, for somebody who has given a file to an ``--output`` that takes a form of output."""
    if not message.startswith("argument --output: invalid choice"):
        return ""
    place = "to write files, give --into PLACE" if "--into" in known else "to write a file, add: > FILE"
    return f"; it says how to print; {place}"
