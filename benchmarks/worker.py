"""One process of a benchmark: reads a job as JSON, prints rows as JSON lines. Started by :mod:`benchmarks.run`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator


def rows(job: dict) -> Iterator[tuple[str, dict]]:
    """Run a job ``{"case": name, …}`` and yield table and row."""
    from . import attentions, cases, encoders, half

    case, options = job["case"], {key: value for key, value in job.items() if key != "case"}
    if case == "rates":
        yield "rates", cases.rates()
    elif case == "encoder_time":
        yield from (("encoder_time", row) for row in cases.encoder_time(**options))
    elif case == "encoder_memory":
        yield "encoder_memory", cases.encoder_memory(**options)
    elif case == "decoder_step":
        yield from cases.decoder_step(**options)
    elif case == "model_time":
        yield from (("model_time", row) for row in encoders.model_time(**options))
    elif case == "half_time":
        yield "half_precision", half.half_time(**options)
    elif case == "attention_time":
        yield "attention_time", attentions.attention_time(**options)
    elif case == "model_memory":
        yield "model_memory", encoders.model_memory(**options)
    elif case in ("summary_time", "summary_memory"):
        yield "summary", getattr(cases, case)(**options)
    elif case in ("training_time", "training_memory"):
        yield "training_step", getattr(cases, case)(**options)
    else:
        raise ValueError(f"unknown case {case!r}")


def main() -> None:
    """Run the job in the first argument."""
    import torch

    from . import machine, programs

    torch.set_num_threads(machine.cores())
    programs.quiet()
    for table, row in rows(json.loads(sys.argv[1])):
        print(json.dumps({"table": table, "row": row}), flush=True)


if __name__ == "__main__":
    main()
