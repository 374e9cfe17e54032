"""The memory of decoders: the formula beside what transformers stores, and the page beside the formula."""

import re
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, Gemma3TextConfig, Gemma3TextModel, Qwen3Config, Qwen3Model

from longsum_lib.budget.decoder import DecoderNumbers, cache_bytes, weight_bytes
from longsum_lib.upstream.transformers import OLD_NAMES, cache_in

PAGE = (Path(__file__).resolve().parents[1] / "book" / "llm-or-encoder-decoder.md").read_text(encoding="utf-8")
NAMED = {
    "Gemma 3 270M": DecoderNumbers(268_000_000, 18, 1, 256, left=511, full_every=6),
    "Qwen3 4B": DecoderNumbers(4_000_000_000, 36, 8, 128),
}
TINY = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 4, "head_dim": 8}
TINY |= {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_hidden_layers": 6}


@pytest.mark.parametrize("tokens", [3, 7, 8, 30])
@pytest.mark.parametrize("windows", [True, False])
def test_a_cache_is_as_large_as_the_formula_says(tokens, windows):
    if windows:
        turns = ["sliding_attention", "sliding_attention", "full_attention"] * 2
        model = Gemma3TextModel(Gemma3TextConfig(**TINY, sliding_window=8, layer_types=turns))
        numbers = DecoderNumbers(0, 6, 2, 8, left=7, full_every=3)
    else:
        model, numbers = Qwen3Model(Qwen3Config(**TINY)), DecoderNumbers(0, 6, 2, 8)
    cache = DynamicCache(config=model.config)
    name = next(name for name in (*OLD_NAMES.values(), *OLD_NAMES) if cache_in({name: cache}) is cache)
    model(torch.randint(3, 20, (1, tokens)), **{name: cache, "use_cache": True})
    stored = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    assert stored == cache_bytes(numbers, tokens, itemsize=4)


@pytest.mark.parametrize("name", NAMED)
def test_the_page_says_what_the_formula_says(name):
    row = re.search(rf"^\| {re.escape(name)} \| (.+) \|$", PAGE, re.M)
    assert row is not None
    numbers = NAMED[name]
    weights = [f"{weight_bytes(numbers, size) / 2**30:.1f} GiB" for size in (2, 0.5)]
    caches = [f"{cache_bytes(numbers, tokens) / 2**20:,.0f} MiB" for tokens in (4096, 16384, 131072)]
    assert row[1].split(" | ") == [*weights, *caches]
