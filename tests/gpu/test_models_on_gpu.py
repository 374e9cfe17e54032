"""Every model on a GPU: logits, gradients, summaries and memory, against the same model on a CPU in fp32."""

import copy
import importlib.util
import warnings

import pytest
import torch
from families import FAMILIES, ours_only
from transformers import StaticCache

from longsum_lib import load, load_tokenizer, make_document, memory, summarize
from longsum_lib.attention.engine.kernels import fused_cuda
from longsum_lib.loading.checkpoint_files import bundled_models
from longsum_lib.loading.registry import model_type_of
from longsum_lib.models.core.cache import SharedCache
from longsum_lib.training.fine_tuning import add_lora

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")]

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Mean distance of logits, relative to their spread.
DISTANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
# T5 does not scale its scores, which makes rounding weigh more: transformers' class in bf16 is as far from fp32.
UNSCALED = 2
BUNDLED = sorted(bundled_models())


def given(name, length, padded):
    ids = torch.randint(3, 101, (2, length))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, length - length // 3 :] = 0
    out = {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(3, 101, (2, 6))}
    if FAMILIES[name].has_global_mask:
        out["global_attention_mask"] = torch.zeros_like(ids)
        out["global_attention_mask"][:, 0] = 1
    return out


def needed(dtype, model):
    if dtype == torch.float16 and not model_type_of(model.config).fp16_safe:
        pytest.skip("this model's activations leave the range of fp16")


def distance(one, other):
    one, other = one.detach().float().cpu(), other.detach().float()
    assert torch.isfinite(one).all()
    return float((one - other).abs().mean() / other.std())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("length", [61, 700])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients(device, name, dtype, length, padded):
    model = ours_only(FAMILIES[name])
    needed(dtype, model)
    batch = given(name, length, padded)
    there = copy.deepcopy(model).to(device, dtype)
    wanted = model(**batch)
    wanted.loss.backward()
    got = there(**{key: value.to(device) for key, value in batch.items()})
    got.loss.backward()
    limit = DISTANCE[dtype] * (UNSCALED if "longt5" in name else 1)
    assert distance(got.logits, wanted.logits) < limit
    assert abs(float(got.loss.detach()) - float(wanted.loss.detach())) < 10 * limit
    grads = [
        (mine.grad.float().cpu().flatten(), other.grad.flatten())
        for mine, other in zip(there.parameters(), model.parameters(), strict=True)
        if other.grad is not None and other.grad.abs().max() > 1e-4
    ]
    assert grads
    cosine = torch.nn.functional.cosine_similarity(
        torch.cat([g for g, _ in grads]), torch.cat([w for _, w in grads]), 0
    )
    assert cosine > (0.9999 if dtype == torch.float32 else 1 - 0.07 * limit / DISTANCE[dtype])


@pytest.mark.parametrize("length", [200, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.card((9, 0))
def test_gradients_of_adapters(device, name, dtype, length):
    """Where the model's own scores are not trained, the fused kernel has the whole backward pass."""
    if importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed")
    if dtype == torch.bfloat16 and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no bf16 on this card")
    model = add_lora(load(name, device="cpu", dtype="fp32"), rank=4)
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.02)
    there = copy.deepcopy(model).to(device, dtype)
    ids = torch.randint(3, 1000, (1, length))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, :9]}
    grads = []
    for one, place in ((model, "cpu"), (there, device)):
        one.eval()(**{key: value.to(place) for key, value in batch.items()}).loss.backward()
        found = [p.grad.float().cpu().flatten() for p in one.parameters() if p.grad is not None]
        grads.append(torch.cat(found))
    assert not fused_cuda._REFUSED
    assert torch.nn.functional.cosine_similarity(*grads, 0) > (0.9999 if dtype == torch.float32 else 0.99)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.card((9, 0))
def test_the_tiny_models_write_the_same_summary(device, card, name, beams):
    text = make_document(seed=0, length=2048, split="test").text
    options = {"tokenizer": load_tokenizer(name), "num_beams": beams, "max_new_tokens": 40}
    wanted = summarize(text, load(name, device="cpu"), **options)
    got = summarize(text, load(name, device=str(device), dtype="fp32"), **options)
    assert got.text == wanted.text
    assert card is None or "cudnn attention" not in card.kernels  # which builds a plan for every length


@pytest.mark.parametrize("name", FAMILIES)
def test_a_decoding_step_never_waits_for_the_device(device, name):
    model = ours_only(FAMILIES[name]).to(device)
    batch = {key: value.to(device) for key, value in given(name, 70, padded=True).items() if key != "labels"}
    with torch.no_grad():
        states = model.get_encoder()(**batch)
        for static in (False, True):
            text = model.config.get_text_config(decoder=True)
            own = StaticCache(config=text, max_cache_len=16) if static else None
            cache = SharedCache(own) if own is not None else None
            token = torch.full((2, 1), 5, device=device)
            step = {"encoder_outputs": states, "attention_mask": batch["attention_mask"], "decoder_input_ids": token}
            # The first step projects keys and values. Releases before 5.24 know the cache by its old name alone.
            cache = model(**step, past_key_values=cache, use_cache=True).past_key_values
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*[Ss]ynchronization debug mode")
                torch.cuda.set_sync_debug_mode("error")
            try:
                logits = model(**step, past_key_values=cache, use_cache=True).logits
            finally:
                torch.cuda.set_sync_debug_mode("default")
            assert torch.isfinite(logits).all()


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", BUNDLED)
def test_a_recorded_step_writes_the_same_summaries(device, real, card, name, beams):
    texts = [make_document(seed=seed, length=1024 + 512 * seed, split="test").text for seed in range(3)]
    options = {"tokenizer": load_tokenizer(name), "num_beams": beams, "max_new_tokens": 60 if real else 20}
    model = load(name, device=str(device), dtype="fp32")
    wanted = summarize(texts, model, **options)
    model.records_steps = True
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="a decoding step could not be recorded")
        got = summarize(texts, model, **options)
    assert [one.text for one in got] == [one.text for one in wanted]
    assert real or card.replays >= 19


@pytest.mark.parametrize("name", ["led-tiny", "longt5-tiny"])
def test_a_compiled_model_gives_the_same_numbers(device, real, name):
    if not real:
        pytest.skip("compiled for a CPU elsewhere")
    model = load(name, device=str(device), dtype="fp32").eval()
    batch = {"input_ids": torch.randint(3, 1000, (1, 1024), device=device)}
    batch |= {
        "attention_mask": torch.ones_like(batch["input_ids"]),
        "decoder_input_ids": torch.tensor([[2, 5]], device=device),
    }
    with torch.no_grad():
        wanted = model(**batch).logits
        got = torch.compile(model)(**batch).logits
    assert distance(got, wanted.cpu()) < 1e-3


@pytest.mark.parametrize("name", BUNDLED)
def test_weights_that_wait_on_the_cpu(device, name):
    if importlib.util.find_spec("accelerate") is None:
        pytest.skip("accelerate is not installed")
    from accelerate import cpu_offload

    text = make_document(seed=1, length=1024, split="test").text
    options = {"tokenizer": load_tokenizer(name), "num_beams": 1, "max_new_tokens": 12}
    model = load(name, device="cpu", dtype="fp32")
    wanted = summarize(text, model, **options).text
    assert summarize(text, cpu_offload(model, execution_device=device), **options).text == wanted


@pytest.mark.parametrize("scheme", ["int8", "nf4", "fp4"])
@pytest.mark.parametrize("name", BUNDLED)
def test_quantized_weights_write_about_the_same(device, real, name, scheme):
    if importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    if not real:
        pytest.skip("its kernels are CUDA's")
    text = make_document(seed=0, length=1024, split="test").text
    tokenizer = load_tokenizer(name)
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=1000).input_ids
    start = torch.tensor([[load(name, device="cpu").config.decoder_start_token_id]])
    with torch.no_grad():
        wanted = load(name, device="cpu")(input_ids=ids, decoder_input_ids=start).logits
        quantized = load(name, device=str(device), quantization=scheme)
        got = quantized(input_ids=ids.to(device), decoder_input_ids=start.to(device)).logits
    assert torch.nn.functional.cosine_similarity(got.float().cpu().flatten(), wanted.flatten(), 0) > 0.9


@pytest.mark.parametrize("name", ["led-tiny"])
def test_predicted_memory_holds(device, name):
    model, length = load(name, device=str(device), dtype="fp32"), 4096
    ids = torch.randint(3, 1000, (1, length), device=device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        model.get_encoder()(**batch)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        model.get_encoder()(**batch)
        measured = torch.cuda.max_memory_allocated() - before
    predicted = memory.predict(memory.model_numbers(name), length=length, beams=1, dtype="fp32", device="gpu")[
        "encoder"
    ]
    assert 0.5 * predicted < measured < 1.5 * predicted
