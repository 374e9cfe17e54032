"""What "window" means in ten models of transformers: each asked by its gradients, as chapter 20 does."""

import pytest
import torch
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    GptOssConfig,
    GptOssModel,
    LEDConfig,
    LongT5Config,
    LongT5EncoderModel,
    MistralConfig,
    MistralModel,
    ModernBertConfig,
    ModernBertModel,
    Olmo3Config,
    Olmo3Model,
    T5Gemma2TextConfig,
    T5GemmaModuleConfig,
)
from transformers.models.led.modeling_led import LEDEncoder
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2TextEncoder

import longsum_lib
from longsum_lib.attention import patterns
from longsum_lib.upstream.transformers import use_attention

longsum_lib.register_attention()

SPECIAL = {"vocab_size": 20, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PLAIN = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, **SPECIAL}
BART = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
LAYER = {"layer_types": ["sliding_attention"]}
# ModernBERT of transformers 5.15 wants both kinds of layers.
TWO_LAYERS = {**PLAIN, "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
TWO_LAYERS |= {"cls_token_id": 1, "sep_token_id": 2}


def first_layer(model: torch.nn.Module) -> torch.nn.Module:
    model.layers = model.layers[:1]
    return model


def gemma(window: int, **more: object) -> dict[str, object]:
    return {**PLAIN, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": window, **more}


# What makes a model of one layer from the number in its configuration, and the sides of its window for a number w.
TEN = {
    "LED": (lambda w: LEDEncoder(LEDConfig(attention_window=[w], **BART)), lambda w: (w // 2, w // 2)),
    "LongT5": (
        lambda w: LongT5EncoderModel(LongT5Config(local_radius=w, decoder_start_token_id=0, **T5)),
        lambda w: (w, w),
    ),
    "ModernBERT": (
        lambda w: first_layer(ModernBertModel(ModernBertConfig(local_attention=w, **TWO_LAYERS))),
        lambda w: (w // 2, w // 2),
    ),
    "EmbeddingGemma": (
        lambda w: Gemma3TextModel(Gemma3TextConfig(use_bidirectional_attention=True, **gemma(w, **LAYER))),
        lambda w: (w // 2, w // 2),
    ),
    "T5Gemma's encoder": (
        lambda w: T5GemmaEncoder(T5GemmaModuleConfig(dropout_rate=0.0, **gemma(w, **LAYER))),
        lambda w: (w, w),
    ),
    "T5Gemma 2's encoder": (
        lambda w: T5Gemma2TextEncoder(T5Gemma2TextConfig(dropout_rate=0.0, **gemma(w, **LAYER))),
        lambda w: ((w + 1) // 2 - 1, w // 2),
    ),
    "Gemma 3": (lambda w: Gemma3TextModel(Gemma3TextConfig(**gemma(w, **LAYER))), lambda w: (w - 1, 0)),
    "Mistral": (lambda w: MistralModel(MistralConfig(**gemma(w))), lambda w: (w - 1, 0)),
    "OLMo 3": (lambda w: Olmo3Model(Olmo3Config(**gemma(w, **LAYER))), lambda w: (w - 1, 0)),
    "gpt-oss": (
        lambda w: GptOssModel(GptOssConfig(num_local_experts=2, num_experts_per_tok=1, **gemma(w, **LAYER))),
        lambda w: (w - 1, 0),
    ),
}


def sees(model: torch.nn.Module, length: int) -> torch.Tensor:
    """Which outputs have a derivative by which inputs: ``(length, length)`` bool."""
    states = torch.randn(1, length, 16, requires_grad=True)
    out = model.eval()(inputs_embeds=states).last_hidden_state[0] @ torch.randn(16)
    rows = [torch.autograd.grad(one, states, retain_graph=True)[0][0].abs().sum(-1) > 0 for one in out]
    return torch.stack(rows)


@pytest.mark.parametrize("window", [8])
@pytest.mark.parametrize("name", TEN)
def test_each_model_sees_what_the_chapter_says(name, window):
    make, sides = TEN[name]
    expected = patterns.window(36, sides(window))
    model = make(window)
    assert torch.equal(sees(model, 36), expected)
    if name not in ("LED", "LongT5"):  # which do not go through transformers' attention interface
        use_attention(model, "longsum")
        assert torch.equal(sees(model, 36), expected)


def test_embeddinggemma_holds_half_of_what_its_file_says():
    assert Gemma3TextConfig(use_bidirectional_attention=True, **gemma(512)).sliding_window == 257


def test_what_eager_lets_packed_documents_see_is_seen():
    """gpt-oss does not tell its masks where documents begin (transformers 5.24); results are eager's all the same."""
    model = TEN["gpt-oss"][0](8).eval()
    states = torch.randn(1, 30, 16)
    places = torch.cat([torch.arange(13), torch.arange(17)])[None]
    found = []
    for implementation in ("eager", "longsum"):
        use_attention(model, implementation)
        with torch.no_grad():
            found.append(model(inputs_embeds=states, position_ids=places, use_cache=False).last_hidden_state)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
