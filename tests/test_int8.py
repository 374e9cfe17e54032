"""Weights in int8 on a CPU: near the model's logits, small, read tensor by tensor, and refused where they must be."""

import importlib.util
import re
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_memory import peak
from test_step import NAMES, documents_of, model_of

from longsum_lib import load
from longsum_lib.errors import CorruptCheckpoint, OptionError
from longsum_lib.loading import int8, quantized
from longsum_lib.models.core.dense_parameters import dense_parameters
from longsum_lib.models.core.int8 import NUMBERS_AT_ONCE, Int8Embedding, Int8Linear, multiply, to_int8
from longsum_lib.models.core.step.rows import Rows


@pytest.fixture(scope="module", params=NAMES)
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model_of(request.param).save_pretrained(folder)
    return request.param, folder


@torch.no_grad()
def test_logits_are_near_in_every_family(saved):
    name, folder = saved
    given = documents_of(name, 60) | {"decoder_input_ids": torch.randint(3, 101, (2, 9))}
    wanted = load(folder)(**given).logits
    model = load(folder, quantization="int8")
    got = model(**given).logits.float()
    assert torch.corrcoef(torch.stack([got.flatten(), wanted.flatten()]))[0, 1] > (
        0.99 if name == "longt5_global" else 0.997
    )  # its scores are not scaled
    kept = {type(m).__name__ for m in model.modules() if isinstance(m, torch.nn.Linear)}
    assert not kept
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def test_it_writes_step_by_step(saved, monkeypatch):
    name, folder = saved
    taken, step = [], Rows.step
    monkeypatch.setattr(Rows, "step", lambda self, tokens: (taken.append(1), step(self, tokens))[1])
    model, given = load(folder, quantization="int8"), documents_of(name, 40)
    for beams in (1, 3):
        assert model.generate(**given, max_new_tokens=5, num_beams=beams).shape[0] == 2
    assert taken


def test_a_tied_table_is_kept_once():
    model = load("led-tiny", quantization="int8")
    table = model.get_input_embeddings()
    assert type(table) is Int8Embedding
    assert type(model.lm_head) is Int8Linear
    others = [model.get_encoder().embed_tokens, model.get_decoder().embed_tokens, model.lm_head]
    assert {other.weight.data_ptr() for other in others} == {table.weight.data_ptr()}
    stored = {t.data_ptr(): t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())}
    plain = sum(p.numel() * 4 for p in load("led-tiny").parameters())
    assert sum(stored.values()) < 0.45 * plain  # of so small a model, positions and norms are a large part


def test_an_untied_head_has_a_table_of_its_own(tmp_path):
    model = model_of("led", tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight.add_(1.0)
    model.save_pretrained(tmp_path)
    got = load(tmp_path, quantization="int8")
    assert got.lm_head.weight.data_ptr() != got.get_input_embeddings().weight.data_ptr()
    weight, _ = got.lm_head.dense(torch.float32)
    torch.testing.assert_close(weight, model.lm_head.weight.detach(), rtol=0, atol=0.01)


@pytest.mark.parametrize("shape", [(5, 7), (1, 64), (300, 33)])
def test_codes_and_scales(shape):
    weight = torch.randn(shape)
    codes, scales = to_int8(weight)
    assert codes.dtype == torch.int8
    assert codes.abs().max() <= 127
    error = (codes.float() * scales.float()[:, None] - weight).abs()
    assert (error <= scales.float()[:, None] * 0.501).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_weight_in_several_pieces_is_rounded_as_one(dtype, monkeypatch):
    weights = [
        torch.randn(shape, dtype=dtype, requires_grad=True) for shape in ((41, 33), (7, 99), (300, 5), (3, 1000))
    ]
    wanted = [to_int8(weight) for weight in weights]
    monkeypatch.setattr("longsum_lib.models.core.int8.NUMBERS_AT_ONCE", 500)
    scratch = []
    for weight, pair in zip(weights, wanted, strict=True):
        for got in (to_int8(weight), to_int8(weight, scratch)):
            assert all(torch.equal(one, other) for one, other in zip(got, pair, strict=True))


def test_rounding_a_large_weight_takes_little_beside_its_codes():
    weight = torch.randn(20_000, 512)
    to_int8(weight[:10])
    assert peak(lambda: to_int8(weight)) < weight.numel() + 3 * 4 * NUMBERS_AT_ONCE


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="counts mapped pages as Linux does")
def test_what_was_read_of_a_checkpoint_does_not_stay(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({str(number): torch.ones(2**18) for number in range(20)}, path)
    most, total = 0, 0.0
    for _, tensor in int8._stored_in(path):
        total += float(tensor.sum())
        del tensor
        lines = iter(Path("/proc/self/smaps").read_text().splitlines())
        there = (next(x for x in lines if x.startswith("Rss:")) for line in lines if str(path) in line)
        most = max(most, sum(int(line.split()[1]) for line in there))
    assert total == 20 * 2**18
    assert most < 3 * 1024  # KiB: of one tensor of 1 MiB, and of what the system reads ahead


@pytest.mark.parametrize("rows", [0, 1, 16, 17, 90])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_products_of_few_rows_and_of_many(rows, bias, monkeypatch):
    plain = torch.nn.Linear(48, 20, bias=bias)
    layer = Int8Linear(*to_int8(plain.weight), plain.bias)
    states = torch.randn(2, rows, 48)
    weight, own_bias = dense_parameters(layer, torch.float32)
    wanted = torch.nn.functional.linear(states.bfloat16().float(), weight, own_bias)
    torch.testing.assert_close(layer(states).float(), wanted, rtol=2e-2, atol=2e-2)
    monkeypatch.setattr("longsum_lib.models.core.int8.int8_product", lambda: None)
    torch.testing.assert_close(layer(states).float(), wanted, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("lacks", [True, False])
@pytest.mark.parametrize("shape", [(17, 48, 20), (40, 30, 7), (1, 33, 5), (25, 600, 3)])
@torch.no_grad()
def test_products_in_fp32_and_in_bf16_round_alike(shape, lacks, monkeypatch):
    """The processor decides which are made; what comes out differs by the order of sums only."""
    count, inputs, outputs = shape
    monkeypatch.setattr("longsum_lib.models.core.int8.lacks_half", lambda: lacks)
    monkeypatch.setattr("longsum_lib.models.core.int8.int8_product", lambda: None)
    monkeypatch.setattr("longsum_lib.models.core.int8.NUMBERS_AT_ONCE", 500)
    monkeypatch.setattr("longsum_lib.models.core.int8.ROWS_AT_ONCE", 16)
    rows, (codes, scales) = torch.randn(count, inputs).bfloat16(), to_int8(torch.randn(outputs, inputs))
    bias = torch.randn(outputs).bfloat16()
    exact = (rows.double() @ codes.double().T).bfloat16()  # the products' own rounding
    wanted = exact * scales
    near = {"rtol": 0.0, "atol": 2**-6 * float(wanted.abs().max())}  # a sum that is rounded the other way
    torch.testing.assert_close(multiply(rows, codes, scales, None), wanted, **near)
    torch.testing.assert_close(multiply(rows, codes, scales, bias), wanted + bias, **near)


def test_where_bf16_is_slow_products_are_made_in_fp32_a_piece_at_a_time(monkeypatch):
    from longsum_lib.models.core import int8

    monkeypatch.setattr(int8, "lacks_half", lambda: True)
    rows, (codes, scales) = torch.randn(2048, 512).bfloat16(), to_int8(torch.randn(8192, 512))
    out = 2048 * 8192 * 2
    pieces = 4 * (int8.NUMBERS_AT_ONCE + int8.ROWS_AT_ONCE * (512 + int8.NUMBERS_AT_ONCE // 512))
    assert peak(lambda: multiply(rows, codes, scales, None)) < out + 2 * pieces


def test_an_id_beyond_the_table_is_said():
    model, given = load("led-tiny", quantization="int8"), documents_of("led", 20)
    given["input_ids"][0, 3] = model.config.vocab_size
    with pytest.raises(ValueError, match="the vocabulary goes from 0 to"):
        model.generate(**given, max_new_tokens=2)


def test_tensors_are_read_one_by_one(tmp_path, monkeypatch):
    """When a tensor is read, the one before the last is gone: nothing of full size is kept."""
    model_of("led").save_pretrained(tmp_path)
    alive, stored_in = [], int8._stored_in

    def watched(path):
        refs = []
        for key, tensor in stored_in(path):
            alive.append(any(ref() is not None for ref in refs[:-1]))
            refs.append(weakref.ref(tensor))
            yield key, tensor
            del tensor

    monkeypatch.setattr(int8, "_stored_in", watched)
    load(tmp_path, quantization="int8")
    assert len(alive) > 50
    assert not any(alive)


def damaged(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def test_damaged_checkpoints_are_refused(tmp_path):
    model_of("led").save_pretrained(tmp_path)
    name = "led.decoder.layers.0.fc1.weight"
    whole = load_file(tmp_path / "model.safetensors")[name]
    damaged(tmp_path, lambda weights: weights[name].fill_(torch.nan))
    with pytest.raises(CorruptCheckpoint, match=r"fc1.weight holds numbers that are not finite"):
        load(tmp_path, quantization="int8")
    damaged(tmp_path, lambda weights: weights.update({name: whole[:-1].contiguous()}))
    with pytest.raises(CorruptCheckpoint, match=r"fc1.weight has shape \(47, 32\), expected \(48, 32\)"):
        load(tmp_path, quantization="int8")
    damaged(tmp_path, lambda weights: weights.pop(name))
    with pytest.raises(CorruptCheckpoint, match="it lacks 1 of the model's"):
        load(tmp_path, quantization="int8")


def test_options_and_saving(tmp_path):
    model = load("led-tiny", quantization="int8")
    with pytest.raises(OptionError, match="weights made int8 for this processor are not saved"):
        model.save_pretrained(tmp_path)
    with pytest.raises(OptionError, match="takes fields of the config besides, got low_cpu_mem_usage"):
        load("led-tiny", quantization="int8", low_cpu_mem_usage=True)


def test_it_needs_no_other_package(monkeypatch):
    find = importlib.util.find_spec
    missing = ("bitsandbytes", "accelerate")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in missing else find(name, *a))
    assert load("led-tiny", quantization="int8").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("quantization", "device", "dtype", "options", "expected"),
    [
        ("int8", "cpu", None, {}, True),
        ("int8", "cpu", "bf16", {}, True),
        ("int8", "cpu", torch.bfloat16, {}, True),
        ("int8", "cpu", "fp32", {}, False),
        ("int8", "cpu", None, {"device_map": "auto"}, False),
        ("nf4", "cpu", None, {}, False),
        (None, "cpu", None, {}, False),
    ],
)
def test_who_quantizes(quantization, device, dtype, options, expected):
    assert quantized.is_by_torch(quantization, device, dtype, options) is expected


@pytest.mark.parametrize(
    ("quantization", "dtype", "half", "said"),
    [
        ("nf4", None, True, "nf4 on a CPU saves memory and costs time.*restored.*int8 beside bf16 is faster"),
        ("fp4", "bf16", True, "fp4 on a CPU"),
        ("nf4", None, False, "int8 beside bf16 is faster"),
        ("int8", "fp32", True, "int8 on a CPU saves memory and costs time"),
        ("int8", None, False, None),
        ("int8", None, True, None),
        (None, "bf16", True, None),
        (None, "bf16", False, "bf16 on this processor takes several times as long as fp32.*or save memory by int8"),
        (None, torch.float16, False, "fp16 on this processor"),
        (None, torch.float32, False, None),
        (None, "auto", False, None),
    ],
)
def test_the_command_says_what_is_slower_than_fp32(monkeypatch, quantization, dtype, half, said):
    from longsum_lib.errors import LongsumWarning
    from longsum_lib.loading import quantized

    monkeypatch.setattr(quantized, "multiplies_slowly", lambda name: not half)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        quantized.warn_if_slower(quantization, "cpu", dtype)
    assert len(found) == (said is not None)
    if said is not None:
        assert found[0].category is LongsumWarning
        assert re.search(said, str(found[0].message))


def test_four_bits_beside_slow_bf16_are_slow_for_both_reasons(monkeypatch):
    from longsum_lib.errors import LongsumWarning

    monkeypatch.setattr(quantized, "multiplies_slowly", lambda name: True)
    with (
        pytest.warns(LongsumWarning, match="nf4 on a CPU"),
        pytest.warns(LongsumWarning, match="bf16 on this processor"),
    ):
        quantized.warn_if_slower("nf4", "cpu", "bf16")


def test_on_a_gpu_nothing_is_said(monkeypatch):
    from longsum_lib.loading import devices, quantized

    monkeypatch.setattr(devices, "choose_device", lambda device: torch.device("cuda"))
    quantized.warn_if_slower("nf4", "auto", None)
