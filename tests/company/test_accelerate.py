"""accelerate: weights that are on the disk or the CPU until their module is called."""

import copy

import pytest
import torch
from company import EACH, LSG_ENCODERS, both, document, encoder_of, layers_of, logits_of, near, ours_of

from longsum_lib import load, load_tokenizer, make_document, summarize
from longsum_lib.generation.evidence import cite
from longsum_lib.loading.checkpoint_files import bundled_models
from longsum_lib.upstream.accelerate import running_device

accelerate = pytest.importorskip("accelerate")


def offloaded(model, kind, folder):
    model = copy.deepcopy(model)
    if kind == "cpu_offload":
        return accelerate.cpu_offload(model, execution_device="cpu")
    if kind == "disk_offload":
        return accelerate.disk_offload(model, folder, execution_device="cpu")
    where = {}
    for name, module in model.named_modules():
        if name and not list(module.children()):
            where[name] = "disk" if kind in name else "cpu"
    for name, _ in [*model.named_parameters(), *model.named_buffers()]:
        if not any(name == known or name.startswith(f"{known}.") for known in where):
            where[name] = "cpu"
    return accelerate.dispatch_model(model, where, main_device="cpu", offload_dir=folder, force_hooks=True)


@EACH
@pytest.mark.parametrize("kind", ["cpu_offload", "disk_offload", "layer", "embed"])
def test_offloaded_weights_compute_what_they_compute_in_memory(name, kind, tmp_path):
    model, given = ours_of(name), document(name, 640)
    if kind == "embed" and "longt5" in name:
        kind = "relative_attention_bias"  # its embeddings are one table, and it has no positions
    if kind == "layer":
        kind = "block.1" if "longt5" in name else "layer.1" if name in LSG_ENCODERS else "layers.1"
    with torch.no_grad():
        expected = logits_of(model, given)
        away = offloaded(model, kind, tmp_path)
        assert any(p.device.type == "meta" for p in away.parameters())
        near(logits_of(away, given), expected, 1e-5)
        if hasattr(model, "lm_head"):
            few = document(name, 60)
            wanted = model.generate(**few, max_new_tokens=4, num_beams=2)
            assert torch.equal(away.generate(**few, max_new_tokens=4, num_beams=2), wanted)


@pytest.mark.parametrize("name", ["led", "lsg_pegasus"])
def test_attention_weights_of_an_offloaded_model(name, tmp_path):
    model, given = ours_of(name), document(name, 80)
    ask = {"decoder_input_ids": torch.tensor([[2]] * 2), "output_attentions": True}
    with torch.no_grad():
        expected = model(**given, **ask)
        found = offloaded(model, "disk_offload", tmp_path)(**given, **ask)
    near(found.logits, expected.logits, 1e-5)
    assert len(found.encoder_attentions) == len(expected.encoder_attentions)


@pytest.mark.parametrize("kind", ["cpu_offload", "disk_offload"])
@pytest.mark.parametrize("name", sorted(bundled_models()))
def test_an_offloaded_model_summarizes_and_says_where_from(name, kind, tmp_path):
    text = make_document(seed=1, length=600, split="test").text
    options = {"tokenizer": load_tokenizer(name), "max_new_tokens": 8}
    model = load(name, device="cpu", dtype="fp32")
    wanted = summarize(text, model, **options)
    away = offloaded(model, kind, tmp_path)
    assert away.device.type == "meta"
    assert running_device(away) == torch.device("cpu")
    assert summarize(text, away, **options).text == wanted.text
    places = [cite(wanted.text, text, model=one, tokenizer=options["tokenizer"]) for one in (model, away)]
    assert places[0] == places[1]


def test_a_layer_that_is_called_once_brings_its_weights_once(tmp_path):
    model = offloaded(ours_of("pegasus_x"), "encoder.layers", tmp_path)
    calls, layer = [], layers_of(model)[0]
    hook = layer.fc1._hf_hook
    before = hook.pre_forward
    hook.pre_forward = lambda *args, **kwargs: calls.append(1) or before(*args, **kwargs)
    with torch.no_grad():
        encoder_of(model)(**document("pegasus_x", 2400))
    assert len(calls) == 2  # for the tokens and for the global tokens


def test_the_reference_agrees(tmp_path):
    results = []
    for model in both("led"):
        with torch.no_grad():
            results.append(logits_of(offloaded(model, "disk_offload", tmp_path / str(len(results))), document("led")))
    near(results[1], results[0])
