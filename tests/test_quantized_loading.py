"""Quantized weights in every model: they load, run, write, are saved and load again, and are small."""

import json
from functools import cache

import pytest
import torch
from families import FAMILIES, shake

from longsum_lib import LSGBartConfig, LSGPegasusConfig, load
from longsum_lib.budget import available
from longsum_lib.errors import CorruptCheckpoint, MissingExtra, OptionError
from longsum_lib.loading import devices, quantized, registry
from longsum_lib.loading.auto import quiet_transformers
from longsum_lib.models.core.dense_parameters import dense_parameters

pytest.importorskip("bitsandbytes")
from transformers import BitsAndBytesConfig

SIZES = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
T5_SIZES = {"d_model": 64, "d_kv": 16, "d_ff": 128}
LSG_SIZES = {
    "vocab_size": 101,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 256,
    "block_size": 16,
    "sparse_block_size": 16,
}
SCHEMES = {
    "int8": quantized.make_config("int8", torch.float32),
    "nf4": "nf4",
    "nf4, scales plain": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "fp4": "fp4",
}
# How near the logits of random weights stay. Scores of LongT5 are not scaled, so that errors move them more.
NEAR = {"int8": 0.999, "nf4": 0.99, "nf4, scales plain": 0.99, "fp4": 0.98}
NEAR_T5 = {"int8": 0.998, "nf4": 0.94, "nf4, scales plain": 0.94, "fp4": 0.9}
NAMES = [*FAMILIES, "lsg_pegasus", "lsg_bart"]


def make(name, **changes):
    torch.manual_seed(0)
    if name in FAMILIES:
        sizes = T5_SIZES if name.startswith("longt5") else SIZES
        model = FAMILIES[name].ours()(FAMILIES[name].config(**sizes | changes))
    else:
        from longsum_lib import LSGBartForConditionalGeneration, LSGPegasusForConditionalGeneration

        config, model = {
            "lsg_pegasus": (LSGPegasusConfig, LSGPegasusForConditionalGeneration),
            "lsg_bart": (LSGBartConfig, LSGBartForConditionalGeneration),
        }[name]
        model = model(config(**LSG_SIZES | SIZES | changes))
    return shake(model, 0.05)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    @cache
    def save(name):
        folder = tmp_path_factory.mktemp(name)
        make(name).save_pretrained(folder)
        return folder

    return save


def document(name, length=70):
    ids = torch.randint(3, 101, (2, length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 60:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if name == "led":
        inputs["global_attention_mask"] = torch.zeros_like(ids)
        inputs["global_attention_mask"][:, 0] = 1
    return inputs


@torch.no_grad()
def logits(model, name):
    inputs = document(name)
    return model(**inputs, decoder_input_ids=inputs["input_ids"][:, :5]).logits


def layers(model):
    return [m for m in model.modules() if type(m).__name__ in ("Linear4bit", "Linear8bitLt")]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NAMES)
def test_every_model_runs_writes_and_comes_back(saved, tmp_path, name, scheme):
    plain, model = load(saved(name)), load(saved(name), quantization=SCHEMES[scheme])
    assert layers(model)
    assert type(model.lm_head) is torch.nn.Linear
    wanted, got = logits(plain, name), logits(model, name)
    assert got.isfinite().all()
    assert torch.cosine_similarity(got, wanted, dim=-1).mean() > (NEAR_T5 if "t5" in name else NEAR)[scheme]
    assert not torch.equal(got, wanted)
    ids = model.generate(**document(name), num_beams=4, num_return_sequences=2, min_new_tokens=6, max_new_tokens=6)
    assert ids.shape == (4, 7)
    with quiet_transformers():
        model.save_pretrained(tmp_path)
    again = load(tmp_path)
    torch.testing.assert_close(logits(again, name), got)
    assert again.get_memory_footprint() == model.get_memory_footprint()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_as_small_as_transformers_class_with_the_same_settings(saved, name, scheme):
    model = load(saved(name), quantization=SCHEMES[scheme])
    settings = quantized.make_config(SCHEMES[scheme], torch.float32)
    if name.startswith("longt5"):
        settings.llm_int8_skip_modules = ["lm_head", "wo"]  # transformers' LongT5 lacks T5's rule for `wo`
    with quiet_transformers():
        theirs = (
            FAMILIES[name]
            .reference_class()
            .from_pretrained(saved(name), quantization_config=settings, dtype=torch.float32, device_map="cpu")
        )
    assert model.get_memory_footprint() <= theirs.get_memory_footprint()
    assert len(layers(model)) == len(layers(theirs))


def test_double_quantization_is_on_unless_settings_say_otherwise(saved):
    nested = [m.weight.quant_state.nested for m in layers(load(saved("pegasus_x"), quantization="nf4"))]
    assert nested
    assert all(nested)
    plain = layers(load(saved("pegasus_x"), quantization=SCHEMES["nf4, scales plain"]))
    assert not any(m.weight.quant_state.nested for m in plain)


@pytest.mark.parametrize("scheme", ["int8", "nf4"])
def test_t5_keeps_wo_and_fp16_stays_finite(saved, scheme):
    """The feed-forward sum of a T5 leaves the range of fp16; with `wo` kept in fp32 nothing is cut off."""
    model = load(saved("longt5_global"), dtype="fp16", quantization=scheme)
    exact = load(saved("longt5_global"), dtype="fp32", quantization=scheme)
    for each in (model, exact):
        for block in each.encoder.block:
            feed_forward = block.layer[1].DenseReluDense
            assert type(feed_forward.wo) is torch.nn.Linear
            assert feed_forward.wo.weight.dtype == torch.float32
            feed_forward.wo.weight.data *= 1e5
    found, wanted = (m.encoder(**document("longt5_global")).last_hidden_state.float() for m in (model, exact))
    real = document("longt5_global")["attention_mask"].bool()
    assert found[real].isfinite().all()
    assert torch.cosine_similarity(found[real], wanted[real], dim=-1).min() > 0.99


@pytest.mark.parametrize("scheme", ["int8", "nf4", "fp4"])
def test_global_projections_of_led_are_used_as_they_are_stored(saved, scheme):
    """The engine absorbs them into the queries; a layer of its own would compute the same."""
    model = load(saved("led"), dtype="fp32", quantization=scheme)
    attention = model.led.encoder.layers[0].self_attn.longformer_self_attn
    states = torch.randn(1, 5, 64)
    for projection in (attention.query_global, attention.key_global, attention.value_global):
        assert projection in layers(model)
        weight, bias = dense_parameters(projection, torch.float32)
        assert (weight.shape, weight.dtype) == ((64, 64), torch.float32)
        with torch.no_grad():
            expected = projection(states)
        found = torch.nn.functional.linear(states, weight, bias)
        torch.testing.assert_close(found, expected, atol=0.05 if scheme == "int8" else 1e-5, rtol=0)
    assert attention.can_stream(torch.zeros(1, 5, dtype=torch.bool))


@torch.no_grad()
@pytest.mark.parametrize("scheme", ["int8", "nf4"])
def test_long_inputs_of_led_stream_with_quantized_weights(saved, monkeypatch, scheme):
    from longsum_lib.models.core import streaming

    model = load(saved("led"), dtype="fp32", quantization=scheme)
    whole = logits(model, "led")
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 16)
    torch.testing.assert_close(logits(model, "led"), whole, atol=0.2 if scheme == "int8" else 1e-4, rtol=0)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_sizes_that_are_no_multiple_of_anything(tmp_path, dtype):
    """bitsandbytes packs anew on CPUs with bf16 instructions, and stops there at 36 or 100 outputs."""
    sizes = {"d_model": 36, "encoder_ffn_dim": 100, "decoder_ffn_dim": 72}
    make("pegasus_x", **sizes).save_pretrained(tmp_path)
    model = load(tmp_path, quantization="nf4", dtype=dtype)
    assert logits(model, "pegasus_x").isfinite().all()


def test_fp32_is_computed_in_fp32(saved):
    model = load(saved("pegasus_x"), quantization="nf4")
    layer = layers(model)[0]
    states = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = layer(states)
    weight, bias = dense_parameters(layer, torch.float32)
    torch.testing.assert_close(found, torch.nn.functional.linear(states, weight, bias), atol=1e-6, rtol=1e-6)


def test_the_kernel_for_few_rows_is_kept_to_the_decoder(saved):
    """bitsandbytes' packed weights are fast for one token and slow for a document."""
    model = load(saved("led"), quantization="nf4", dtype="bf16")
    layer = model.led.decoder.layers[0]
    for module in layers(model):  # what a CPU with bf16 instructions would be allowed
        assert module.compute_dtype == torch.bfloat16
    if not layer.fc1.support_avx512bf16_for_cpu:
        pytest.skip("this CPU has no bf16 instructions")
    encoder = model.led.encoder.layers[0]
    whole = (encoder.fc1, encoder.self_attn.longformer_self_attn.key_global, layer.encoder_attn.k_proj)
    assert not any(module.support_avx512bf16_for_cpu for module in whole)
    assert logits(model, "led").isfinite().all()


@pytest.mark.parametrize("place", ["auto", "cpu", {"": "cpu"}])
def test_device_map(saved, place):
    model = load(saved("pegasus_x"), quantization="nf4", device_map=place, device="cpu")
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert logits(model, "pegasus_x").isfinite().all()


def test_settings_of_ones_own_keep_the_head(saved):
    """A list of skipped modules replaces transformers' own: without `lm_head` the forward pass would stop."""
    own = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=["fc1"])
    model = load(saved("pegasus_x"), quantization=own)
    assert type(model.lm_head) is type(model.model.encoder.layers[0].fc1) is torch.nn.Linear
    assert type(model.model.encoder.layers[0].fc2) is not torch.nn.Linear
    assert own.llm_int8_skip_modules == ["fc1"]
    assert logits(model, "pegasus_x").isfinite().all()


class NoContext:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize(
    ("native", "device", "dtype", "model_type", "expected"),
    [
        (True, "cuda", torch.bfloat16, "led", torch.bfloat16),
        (False, "cuda", torch.bfloat16, "led", torch.float16),
        (False, "cuda", torch.bfloat16, "pegasus_x", torch.float32),
        (False, "cuda", torch.float16, "led", torch.float16),
        (False, "cuda", torch.float32, "pegasus_x", torch.float32),
        (False, "cpu", torch.bfloat16, "led", torch.bfloat16),
        (False, "cpu", torch.float16, "led", torch.float32),
    ],
)
def test_format_to_compute_in(monkeypatch, native, device, dtype, model_type, expected):
    monkeypatch.setattr(torch.cuda, "device", NoContext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    found = devices.choose_compute_dtype(dtype, torch.device(device), registry.MODEL_TYPES[model_type])
    assert found == expected


@pytest.mark.parametrize(
    ("native", "name", "dtype"),
    [
        (False, "led", torch.float16),
        (False, "longt5_global", torch.float16),
        (False, "pegasus_x", torch.float32),
        (True, "pegasus_x", torch.bfloat16),
    ],
)
def test_what_a_gpu_is_asked_for(saved, monkeypatch, native, name, dtype):
    """Without a GPU here: what ``from_pretrained`` would be told on a T4 and on a newer card."""
    asked = {}

    def from_pretrained(folder, **options):
        asked.update(options)
        raise RuntimeError("far enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device", NoContext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**34))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2**20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2**10)
    monkeypatch.setattr(FAMILIES[name].ours(), "from_pretrained", from_pretrained)
    assert available.free_memory(torch.device("cuda")) == 2**30 + 2**20 - 2**10
    with pytest.raises(CorruptCheckpoint, match="far enough"):
        load(saved(name), quantization="nf4")
    assert asked["dtype"] == asked["quantization_config"].bnb_4bit_compute_dtype == dtype
    assert asked["device_map"] == {"": torch.device("cuda")}
    assert {"lm_head", "wo"} <= set(asked["quantization_config"].llm_int8_skip_modules)


def test_a_saved_checkpoint_computes_in_this_device_s_format(saved, tmp_path):
    with quiet_transformers():
        load(saved("led"), quantization="nf4").save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["quantization_config"]["bnb_4bit_compute_dtype"] = "float16"  # as one saved on a T4
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert {m.compute_dtype for m in layers(load(tmp_path))} == {torch.float32}


def test_quantizing_twice_is_refused(saved, tmp_path):
    with quiet_transformers():
        load(saved("led"), quantization="nf4").save_pretrained(tmp_path)
    with pytest.raises(OptionError, match="are quantized already; leave quantization out"):
        load(tmp_path, quantization="int8")


def test_a_saved_checkpoint_without_bitsandbytes_names_the_extra(saved, tmp_path, monkeypatch):
    with quiet_transformers():
        load(saved("led"), quantization="nf4").save_pretrained(tmp_path)
    monkeypatch.setattr(quantized.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'bitsandbytes, .*pip install "longsum-lib\[quantization\]"'):
        load(tmp_path)


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (4, "quantization is a int; expected one of: int8, nf4, fp4, or a BitsAndBytesConfig"),
        (BitsAndBytesConfig(), "quantizes nothing; give it load_in_4bit=True or load_in_8bit=True"),
    ],
)
def test_settings_that_make_no_sense(saved, quantization, expected):
    with pytest.raises(OptionError, match=expected):
        load(saved("led"), quantization=quantization)
