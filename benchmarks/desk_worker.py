"""One measurement of ``benchmarks.desk``, in a process of its own and for whichever version of the library is found.

``python desk_worker.py CASE KIND`` prints a line of JSON. It imports nothing of this package: an older checkout of the
library has none of it.
"""

from __future__ import annotations

import json
import resource
import sys
import time

WIDTH = {"d_model": 768, "encoder_attention_heads": 12, "decoder_attention_heads": 12}
FFN = {"encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
LENGTHS = {
    "one beam": 4096,
    "four beams": 16384,
    "token of one beam": 4096,
    "token of four beams": 16384,
    "encoder": 8192,
    "document": 16384,
    "load": 0,
    "transient-global": 65536,
}
TOKENS = 16


def make(kind: str, layers: int, decoder_layers: int = 6, folder: str | None = None) -> object:
    """Make LED of base width with random weights: ``fp32``, ``bf16``, ``int8``, or transformers' own class."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.LEDConfig(encoder_layers=layers, decoder_layers=decoder_layers, **WIDTH, **FFN)
    if kind == "transformers":
        return transformers.LEDForConditionalGeneration(config).eval()
    import longsum_lib

    if folder is not None:
        quantization = None if kind == "fp32" else kind.partition(" ")[0]
        dtype = "bf16" if kind.endswith("bf16") else None
        return longsum_lib.load(folder, quantization=quantization, dtype=dtype, device="cpu")
    model = longsum_lib.LEDForConditionalGeneration(config).eval()
    return model.bfloat16() if kind == "bf16" else model


def per_token(model: object, length: int, beams: int) -> dict[str, object]:
    """CPU and clock milliseconds a token, what is done once a document left out."""
    import torch
    from transformers.models.led.modeling_led import LEDEncoderBaseModelOutput

    generator = torch.Generator().manual_seed(1)
    states = torch.randn(1, length, 768, generator=generator).to(model.dtype)
    mask = torch.ones(1, length, dtype=torch.long)

    def write(tokens: int) -> tuple[float, float, list[int]]:
        cpu, clock = time.process_time(), time.perf_counter()
        with torch.inference_mode():
            output = LEDEncoderBaseModelOutput(last_hidden_state=states)
            options = {"max_new_tokens": tokens, "min_new_tokens": tokens, "num_beams": beams}
            ids = model.generate(encoder_outputs=output, attention_mask=mask, **options)
        return time.process_time() - cpu, time.perf_counter() - clock, ids[0].tolist()

    write(2)
    one, many = write(1), write(TOKENS)
    cpu, clock = ((many[i] - one[i]) / (TOKENS - 1) * 1000 for i in (0, 1))
    return {"cpu_ms": round(cpu, 2), "clock_ms": round(clock, 2), "ids": many[2]}


def per_step(model: object, length: int, beams: int, tokens: int = 40) -> dict[str, object]:
    """CPU and clock milliseconds from one token of ``generate`` to the next: the median, where a step takes turns."""
    import itertools
    import statistics

    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList
    from transformers.models.led.modeling_led import LEDEncoderBaseModelOutput

    times: list[tuple[float, float]] = []

    class Note(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
            times.append((time.process_time(), time.perf_counter()))
            return torch.zeros(len(input_ids), dtype=torch.bool)

    generator = torch.Generator().manual_seed(1)
    states = torch.randn(1, length, 768, generator=generator).to(model.dtype)
    options = {"max_new_tokens": tokens, "min_new_tokens": tokens, "num_beams": beams}
    with torch.inference_mode():
        model.generate(
            encoder_outputs=LEDEncoderBaseModelOutput(last_hidden_state=states),
            attention_mask=torch.ones(1, length, dtype=torch.long),
            stopping_criteria=StoppingCriteriaList([Note()]),
            **options,
        )
    steps = [[(b[i] - a[i]) * 1000 for a, b in itertools.pairwise(times[1:])] for i in (0, 1)]
    cpu, clock = (round(statistics.median(one), 2) for one in steps)
    return {"cpu_ms": cpu, "clock_ms": clock, "tokens": len(steps[0])}


def encode(model: object, length: int) -> dict[str, object]:
    """CPU seconds of the encoder alone."""
    import torch

    ids = torch.randint(3, 50000, (1, length), generator=torch.Generator().manual_seed(1))
    is_global = torch.zeros_like(ids)
    is_global[0, 0] = 1
    encoder, given = model.get_encoder(), {"input_ids": ids, "global_attention_mask": is_global}
    with torch.inference_mode():
        encoder(input_ids=ids[:, :1024], global_attention_mask=is_global[:, :1024])
        cpu, clock = time.process_time(), time.perf_counter()
        encoder(**given)
    return {"cpu_s": round(time.process_time() - cpu, 3), "clock_s": round(time.perf_counter() - clock, 3)}


def transient_global(length: int) -> dict[str, object]:
    """CPU seconds of LongT5's encoder with transient tokens, one layer of base width."""
    import torch
    import transformers

    import longsum_lib

    torch.manual_seed(0)
    sizes = {"d_model": 768, "d_kv": 64, "num_heads": 12, "d_ff": 2048, "num_layers": 1, "vocab_size": 1000}
    config = transformers.LongT5Config(
        **sizes, encoder_attention_type="transient-global", feed_forward_proj="gated-gelu", decoder_start_token_id=0
    )
    model = longsum_lib.LongT5EncoderModel(config).eval()
    ids = torch.randint(3, 1000, (1, length), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        model(input_ids=ids[:, :1024])
        cpu, clock = time.process_time(), time.perf_counter()
        model(input_ids=ids)
    return {"cpu_s": round(time.process_time() - cpu, 2), "clock_s": round(time.perf_counter() - clock, 2)}


def document(model: object, length: int) -> dict[str, object]:
    """CPU seconds from a document's ids to a summary of 64 tokens with 4 beams."""
    import torch

    ids = torch.randint(3, 50000, (1, length), generator=torch.Generator().manual_seed(1))
    is_global = torch.zeros_like(ids)
    is_global[0, 0] = 1
    options = {"num_beams": 4, "max_new_tokens": 64, "min_new_tokens": 64}
    cpu, clock = time.process_time(), time.perf_counter()
    with torch.inference_mode():
        model.generate(ids, attention_mask=torch.ones_like(ids), global_attention_mask=is_global, **options)
    return {"cpu_s": round(time.process_time() - cpu, 2), "clock_s": round(time.perf_counter() - clock, 2)}


def load(kind: str, folder: str) -> dict[str, object]:
    """Peak of a process that loads a checkpoint, what libraries take left out, and what the weights take."""
    import torch
    import transformers  # noqa: F401 - what it takes is there before

    import longsum_lib

    longsum_lib.load("led-tiny", quantization="int8" if kind == "int8" else None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = make(kind, 0, folder=folder)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tensors = {t.data_ptr(): t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())}
    del torch
    return {"peak_mib": round((after - before) / 1024), "weights_mib": round(sum(tensors.values()) / 2**20)}


def facts(kind: str) -> dict[str, object]:
    """Key facts that summaries of the tiny models have right, and how far int8 moves logits, for each of them."""
    import torch

    import longsum_lib
    from longsum_lib.evaluation import evaluate
    from longsum_lib.loading.checkpoint_files import bundled_models

    out: dict[str, object] = {}
    for name in bundled_models():
        tokenizer = longsum_lib.load_tokenizer(name)
        model = longsum_lib.load(name, device="cpu", quantization="int8" if kind == "int8" else None)
        scores = evaluate(model, tokenizer, length=1024, limit=10, baselines=False, num_beams=1)
        ids = torch.arange(5, 205)[None]
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "decoder_input_ids": ids[:, :20]}
        with torch.no_grad():
            plain = longsum_lib.load(name, device="cpu")(**given).logits
            error = (model(**given).logits.float() - plain).square().mean().sqrt()
        out[name] = {key: scores[key] for key in ("recall", "precision")}
        out[f"{name} logits"] = {"error_rms": round(float(error), 4), "std": round(float(plain.std()), 3)}
    return {"models": out}


def main(case: str, kind: str, folder: str) -> None:
    """Measure one case and print it."""
    if case == "facts":
        result = facts(kind)
    elif case == "transient-global":
        result = transient_global(LENGTHS[case])
    elif case == "load":
        result = load(kind, folder)
    elif case in ("one beam", "four beams"):
        model = make(kind, 1, folder=None if kind in ("fp32", "transformers") else folder)
        result = per_token(model, LENGTHS[case], 4 if case == "four beams" else 1)
    elif case in ("token of one beam", "token of four beams"):
        model = make(kind, 1, folder=None if kind in ("fp32", "bf16") else folder)
        result = per_step(model, LENGTHS[case], 4 if "four" in case else 1)
    elif case == "encoder":
        result = encode(make(kind, 2, 1, folder if kind == "int8" else None), LENGTHS[case])
    else:
        result = document(make(kind, 6, folder=folder if kind == "int8" else None), LENGTHS[case])
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:4])
