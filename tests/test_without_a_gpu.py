"""What a CPU can prove of code for a GPU: where tensors are made, and where the processor would wait for the device.

Tensors on the device ``meta`` have a shape and no numbers. A model that runs on them makes every tensor on its own
device (an operation between two devices fails) and never looks at a number (``item``, ``tolist`` and ``bool`` fail),
which on a GPU would make the processor wait. The two planted faults show that this is seen.
"""

import warnings

import pytest
import torch
from families import FAMILIES, inputs
from transformers.cache_utils import DynamicCache, StaticCache

from longsum_lib.attention.engine.kernels import fused_cuda
from longsum_lib.attention.sliding_window import attention as sliding_window
from longsum_lib.models.core import decoder
from longsum_lib.models.core.cache import SharedCache
from tools.pretend_gpu import pretended_gpu

LENGTH, DOCUMENTS, BEAMS = 70, 2, 3


def on_meta(name, **changes):
    family = FAMILIES[name]
    with torch.device("meta"):
        return family.ours()(family.config(**changes)).eval()


def ids(*shape):
    return torch.zeros(*shape, dtype=torch.long, device="meta")


def decode(model, static, padded=True, steps=3):
    own = StaticCache(config=model.config.get_text_config(decoder=True), max_cache_len=16) if static else DynamicCache()
    cache = SharedCache(own)
    states = (torch.zeros(DOCUMENTS, LENGTH, model.config.d_model, device="meta"),)
    mask = ids(DOCUMENTS, LENGTH) if padded else None
    for _ in range(steps):
        with torch.no_grad():
            token = ids(DOCUMENTS * BEAMS, 1)
            output = model(encoder_outputs=states, attention_mask=mask, decoder_input_ids=token, cache=cache)
    return output.logits


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_decoding_step_stays_on_its_device_and_never_waits(name, static, padded):
    logits = decode(on_meta(name), static, padded)
    assert logits.device.type == "meta"
    assert logits.shape == (DOCUMENTS * BEAMS, 1, 101)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_planted_wait_in_the_step_is_seen(name, monkeypatch):
    mask = decoder.decoder_mask
    monkeypatch.setattr(decoder, "decoder_mask", lambda *args: mask(*args) if args[1] != int(ids(1).sum()) else None)
    with pytest.raises(RuntimeError, match="meta"):
        decode(on_meta(name), static=False)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_planted_tensor_on_the_cpu_is_seen(name, monkeypatch):
    attend = decoder.attend_documents
    planted = lambda query, *args: attend(query + torch.zeros(query.shape), *args)  # noqa: E731
    monkeypatch.setattr(decoder, "attend_documents", planted)
    with pytest.raises((RuntimeError, NotImplementedError), match=r"device|meta"):
        decode(on_meta(name), static=False)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_documents_without_padding_are_read_without_waiting(name, train):
    model = on_meta(name).train(train)
    with torch.set_grad_enabled(train):
        output = model(input_ids=ids(DOCUMENTS, LENGTH), labels=ids(DOCUMENTS, 5))
    assert output.logits.device.type == "meta"
    if train:
        output.loss.backward()
        assert all(p.grad is None or p.grad.device.type == "meta" for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_the_kernel_of_a_gpu_is_called_with_what_its_shape_functions_take(name, dtype, monkeypatch):
    """The engine chooses it as it would on a GPU; its own shape functions check what it is given, both ways."""
    monkeypatch.setattr(fused_cuda, "can_run", lambda query: query.shape[-1] % fused_cuda.ALIGNMENT == 0)
    called = {"forward": 0, "backward": 0}
    for way, operator in (("forward", fused_cuda._FORWARD), ("backward", fused_cuda._BACKWARD)):

        def counting(*args, way=way, operator=operator, **kwargs):
            called[way] += 1
            return operator(*args, **kwargs)

        monkeypatch.setattr(fused_cuda, "_" + way.upper(), counting)
    changes = {"d_kv": 16} if "longt5" in name else {}  # the kernel takes heads of whole steps of 16 bytes
    model = on_meta(name, **changes).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "the fused CUDA kernel failed" would be one
        with torch.no_grad():
            model(input_ids=ids(DOCUMENTS, LENGTH), decoder_input_ids=ids(DOCUMENTS, 5))
        assert called["forward"] >= 2
        output = model.train()(input_ids=ids(DOCUMENTS, LENGTH), labels=ids(DOCUMENTS, 5))
        output.loss.backward()
    assert output.logits.dtype == dtype
    if "longt5" not in name:  # whose distance scores are trained: plain products give their gradient
        assert called["backward"] >= 2


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_an_encoder_waits_as_often_with_many_layers_as_with_few(name, train, padded):
    """What masks say is looked up once: a GPU that has to wait for the processor in each layer runs dry there."""
    field, counts = "num_layers" if "longt5" in name else "encoder_layers", []
    with pretended_gpu((7, 5)) as card:
        for number in (2, 5):
            changes = {field: number} | ({"attention_window": [8] * number} if name == "led" else {})
            model = FAMILIES[name].ours()(FAMILIES[name].config(**changes)).to("cuda").train(train)
            given = inputs(FAMILIES[name], 300, padding="right" if padded else "none")
            given = {key: value.to("cuda") for key, value in given.items()}
            card.waits.clear()
            with torch.set_grad_enabled(train):
                model.get_encoder()(**given)
            counts.append([wait.where for wait in card.waits])
    drawn = 3 if train and name == "bigbird_pegasus" else 0  # each layer draws random blocks of its own
    assert len(counts[1]) == len(counts[0]) + drawn, counts
    assert len(counts[0]) <= 8


def test_a_planted_look_in_a_layer_is_seen(monkeypatch):
    attend = sliding_window.local_rows

    def planted(query, *rest):
        return attend(query, *rest) if float(query.detach().amax()) < 1e9 else None

    monkeypatch.setattr("longsum_lib.models.led.layer.local_rows", planted)
    with pytest.raises(AssertionError):
        test_an_encoder_waits_as_often_with_many_layers_as_with_few("led", True, True)
