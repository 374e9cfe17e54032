"""LSG-Pegasus and LSG-BART: recorded outputs of the published code, and the checks that every model passes."""

import copy
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from families import shake
from safetensors.torch import load_file, save_file
from transformers.modeling_outputs import BaseModelOutput

import longsum_lib
from longsum_lib.attention.lsg.sparse import SPARSITY_TYPES
from longsum_lib.models.lsg.heads import (
    LSGBartConfig,
    LSGBartForConditionalGeneration,
    LSGBartForQuestionAnswering,
    LSGBartForSequenceClassification,
    LSGBartModel,
    LSGPegasusConfig,
    LSGPegasusForConditionalGeneration,
    LSGPegasusForSequenceClassification,
    LSGPegasusModel,
)

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = json.loads((GOLDEN / "index.json").read_text())
CLASSES = {
    "pegasus": (LSGPegasusConfig, LSGPegasusForConditionalGeneration),
    "bart": (LSGBartConfig, LSGBartForConditionalGeneration),
}


def golden_model(variant, **changes):
    config, model = CLASSES[variant["family"]]
    model = model(config(**variant["config"] | changes)).eval()
    model.load_state_dict(load_file(GOLDEN / variant["weights"]), strict=True)
    return model


def cases(variant):
    tensors = load_file(GOLDEN / variant["file"])
    for number, case in enumerate(variant["cases"]):
        if "error" not in case:
            yield {name.split(".")[1]: t for name, t in tensors.items() if name.startswith(f"case{number}.")}


@pytest.mark.parametrize("variant", VARIANTS, ids=[v["file"].removesuffix(".safetensors") for v in VARIANTS])
@torch.no_grad()
def test_outputs_equal_the_published_code(variant):
    model, seen = golden_model(variant), 0
    for case in cases(variant):
        names = ("input_ids", "attention_mask", "decoder_input_ids")
        mask = case["attention_mask"].clone()
        torch.manual_seed(7)
        out = model(**{name: case[name] for name in names})
        assert torch.equal(case["attention_mask"], mask)  # the published code overwrites it with mask_first_token
        globals_ = out.encoder_last_hidden_state.shape[1] - mask.shape[1]
        real = torch.nn.functional.pad(mask, (globals_, 0), value=1).bool()
        got, wanted = out.encoder_last_hidden_state[real], case["encoder"][real]
        torch.testing.assert_close(got, wanted, rtol=0, atol=2e-5)
        torch.testing.assert_close(out.logits, case["logits"], rtol=0, atol=2e-5)
        seen += 1
    assert seen >= 2


@torch.no_grad()
def test_lengths_that_the_published_code_cannot_do_without_padding_work():
    """With ``adaptive=False`` it fails on 100 tokens; here that is the same as padding them to 112."""
    named = {v["file"]: v for v in VARIANTS}
    adaptive, strict = named["lsg_bart_norm.safetensors"], named["lsg_bart_nonadaptive.safetensors"]
    assert "error" in strict["cases"][0]
    model = golden_model(strict)
    for case in cases(adaptive):
        names = ("input_ids", "attention_mask", "decoder_input_ids")
        torch.testing.assert_close(model(**{n: case[n] for n in names}).logits, case["logits"], rtol=0, atol=2e-5)


@torch.no_grad()
def test_groups_of_padding_are_hidden_when_asked():
    """The published code lets bos_pooling see padding: right padding then changes the output, here it need not."""
    variant = next(v for v in VARIANTS if v["file"] == "lsg_bart_bos_pooling.safetensors")
    ids, decoder = torch.randint(3, 97, (1, 90)), torch.randint(3, 97, (1, 5))
    mask = torch.ones_like(ids)
    pad = torch.nn.functional.pad
    shift = {}
    for hidden in (False, True):
        model = golden_model(variant, mask_empty_groups=hidden)
        alone = model(ids, mask, decoder).logits
        padded = model(pad(ids, (0, 60), value=1), pad(mask, (0, 60)), decoder).logits
        shift[hidden] = float((alone - padded).abs().max())
    assert shift[True] < 1e-5 < 1e-3 < shift[False]


# -- the public checks, over both families -----------------------------------------------------------------------------


def fields(family, **changes):
    base = {
        "vocab_size": 101,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": 1024,
        "dropout": 0.0,
        "block_size": 16,
        "sparse_block_size": 16,
        "num_global_tokens": 2,
        "scale_embedding": family == "pegasus",
    }
    return base | changes


@cache
def _weights(family):
    torch.manual_seed(0)
    config, model = CLASSES[family]
    return shake(model(config(**fields(family)))).state_dict()


def make(family, **changes):
    config, model = CLASSES[family]
    model = model(config(**fields(family, **changes)))
    model.load_state_dict(_weights(family), strict=True)
    return model.eval()


def inputs(length, padding="none", batch=2):
    from agreement import random_mask

    mask = random_mask(padding, batch, length)
    mask = torch.ones(batch, length, dtype=torch.bool) if mask is None else mask
    return {"input_ids": torch.randint(3, 101, (batch, length)), "attention_mask": mask.long()}


@pytest.fixture(params=list(CLASSES))
def family(request):
    return request.param


@pytest.mark.parametrize("kind", SPARSITY_TYPES)
def test_model_equals_the_dense_oracle(family, kind, monkeypatch):
    """The whole model, forward and backward, on the dense oracle instead of the blocked engine."""
    from longsum_lib.attention.lsg import attention as mechanism
    from longsum_lib.models.lsg import layer as lsg_layers

    model = make(family, sparsity_type=kind, sparsity_factor=4, lsh_seed=3)
    given, labels = inputs(130, "right"), torch.randint(3, 101, (2, 9))

    def run():
        model.zero_grad()
        out = model(**given, labels=labels)
        out.loss.backward()
        return out.logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    logits, grads = run()
    oracle = lambda *args, **options: mechanism.lsg_attention(*args, **options, backend="reference")  # noqa: E731
    monkeypatch.setattr(
        lsg_layers, "lsg_attention", lambda *a, **o: oracle(*a, **{k: v for k, v in o.items() if k != "dropout"})
    )
    wanted, wanted_grads = run()
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    for name, grad in grads.items():
        scale = float(wanted_grads[name].abs().max())
        torch.testing.assert_close(grad, wanted_grads[name], rtol=0, atol=1e-3 * scale + 1e-7, msg=name)


@pytest.mark.parametrize("plain", [True, False])
@torch.no_grad()
def test_short_inputs_equal_the_plain_model(family, plain):
    """Up to two blocks the attention is full: with global embeddings hidden the plain model comes out."""
    import transformers

    reference = getattr(transformers, {"pegasus": "Pegasus", "bart": "Bart"}[family] + "ForConditionalGeneration")
    config = {k: v for k, v in fields(family).items() if not k.startswith(("block", "sparse", "num_global"))}
    reference = reference(reference.config_class(**config)).eval()
    weights = {k: v for k, v in _weights(family).items() if "global_embeddings" not in k}
    reference.load_state_dict(weights, strict=True)
    decoder = torch.randint(3, 101, (2, 6))
    states = reference.get_decoder()(decoder, encoder_hidden_states=torch.ones(2, 7, 32)).last_hidden_state
    ours = make(family).get_decoder()(decoder, encoder_hidden_states=torch.ones(2, 7, 32)).last_hidden_state
    torch.testing.assert_close(ours, states, rtol=1e-4, atol=1e-5)
    if plain:
        embeds = torch.randn(2, 6, 32)
        states = reference.get_decoder()(inputs_embeds=embeds, encoder_hidden_states=torch.ones(2, 7, 32))
        ours = make(family).get_decoder()(inputs_embeds=embeds, encoder_hidden_states=torch.ones(2, 7, 32))
        torch.testing.assert_close(ours.last_hidden_state, states.last_hidden_state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["none", "right", "left", "scattered", "empty"])
@torch.no_grad()
def test_any_length_and_padding(family, padding):
    model = make(family)
    decoder = torch.randint(3, 101, (2, 5))
    for length in (1, 7, 32, 33, 64, 129, 300, 1000):
        given = inputs(length, padding)
        out = model(**given, decoder_input_ids=decoder, output_hidden_states=True)
        assert torch.isfinite(out.logits).all()
        assert out.encoder_last_hidden_state.shape == (2, 2 + length, 32)
        assert [h.shape for h in out.encoder_hidden_states] == [(2, 2 + length, 32)] * 3
        torch.testing.assert_close(out.encoder_hidden_states[-1], out.encoder_last_hidden_state)


@torch.no_grad()
def test_right_padding_never_changes_the_output(family):
    decoder = torch.randint(3, 101, (1, 5))
    for kind in ("norm", "stride", "pooling"):
        model = make(family, sparsity_type=kind)
        for length, pad in ((1, 3), (20, 1), (20, 90), (33, 2), (63, 2), (100, 200)):
            given = inputs(length, batch=1)
            padded = {k: torch.nn.functional.pad(v, (0, pad)) for k, v in given.items()}
            alone, both = (model(**g, decoder_input_ids=decoder).logits for g in (given, padded))
            torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-4)


MODES = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "returned": {"num_beams": 4, "num_return_sequences": 3, "no_repeat_ngram_size": 3},
}


@pytest.mark.parametrize("mode", list(MODES))
def test_generated_ids_do_not_depend_on_the_cache(family, mode):
    model, given = make(family), inputs(130, "right")
    options = MODES[mode] | {"max_new_tokens": 16}
    wanted = model.generate(**given, **options, use_cache=False)
    assert torch.equal(model.generate(**given, **options), wanted)
    assert torch.equal(model.generate(**given, **options, cache_implementation="static"), wanted)


def test_encoder_outputs_may_be_given(family):
    model, given = make(family), inputs(70, "right")
    with torch.no_grad():
        states = model.get_encoder()(**given).last_hidden_state
    handed = BaseModelOutput(last_hidden_state=states)
    wanted = model.generate(**given, num_beams=3, max_new_tokens=8)
    for _ in range(2):
        mask = given["attention_mask"]
        got = model.generate(encoder_outputs=handed, attention_mask=mask, num_beams=3, max_new_tokens=8)
        assert torch.equal(got, wanted)
    decoder = torch.randint(3, 101, (2, 5))
    as_tuple = model(encoder_outputs=(states,), attention_mask=given["attention_mask"], decoder_input_ids=decoder)
    torch.testing.assert_close(as_tuple.logits, model(**given, decoder_input_ids=decoder).logits)


def test_gradient_checkpointing_changes_nothing(family):
    given, labels, grads = inputs(70), torch.randint(3, 101, (2, 9)), []
    model = make(family, sparsity_type="lsh", sparsity_factor=4).train()
    for checkpointing in (False, True):
        model.zero_grad()
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.manual_seed(5)
        model(**given, labels=labels).loss.backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@torch.no_grad()
def test_lsh_follows_seed_and_generator(family):
    model, given = make(family, sparsity_type="lsh", sparsity_factor=4), inputs(100)
    decoder = torch.randint(3, 101, (2, 5))

    def logits(model, seed=None):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return model(**given, decoder_input_ids=decoder, generator=generator).logits

    torch.testing.assert_close(logits(model, 1), logits(model, 1))
    assert not torch.equal(logits(model, 1), logits(model, 2))
    assert not torch.equal(logits(model), logits(model))
    seeded, other = (make(family, sparsity_type="lsh", sparsity_factor=4, lsh_seed=seed) for seed in (1, 2))
    torch.testing.assert_close(logits(seeded), logits(seeded))
    assert not torch.equal(logits(seeded), logits(other))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_is_finite_and_close(family, dtype):
    decoder = torch.randint(3, 101, (2, 5))
    for kind in SPARSITY_TYPES:
        model = make(family, sparsity_type=kind, sparsity_factor=4, lsh_seed=1)
        half = copy.deepcopy(model).to(dtype)
        for length, padding in ((1, "none"), (40, "right"), (70, "scattered"), (70, "empty"), (200, "left")):
            given = inputs(length, padding)
            wanted = model(**given, decoder_input_ids=decoder).logits
            got = half(**given, decoder_input_ids=decoder).logits.float()
            assert torch.isfinite(got).all(), (kind, length, padding)
            assert torch.nn.functional.cosine_similarity(got.flatten(), wanted.flatten(), dim=0) > 0.99, kind


def test_huge_residuals_stay_finite_in_half_precision(family):
    model = make(family).half()
    with torch.no_grad():
        for layer in model.get_encoder().layers:
            layer.fc2.bias.fill_(60000)
    out = model(**inputs(70, "right"), decoder_input_ids=torch.randint(3, 101, (2, 5)))
    assert torch.isfinite(out.logits).all()


def test_a_fully_padded_row_is_harmless(family):
    model = make(family).train()
    given, labels = inputs(70, "empty"), torch.randint(3, 101, (2, 5))
    model(**given, labels=labels).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    model.eval()
    first = model(**{k: v[:1] for k, v in given.items()}, decoder_input_ids=labels[:1]).logits
    torch.testing.assert_close(model(**given, decoder_input_ids=labels).logits[:1], first, rtol=1e-4, atol=1e-5)


def test_dropout_follows_the_seed(family):
    model = make(family, dropout=0.2, attention_dropout=0.2).train()
    given, labels, losses = inputs(70, "right"), torch.randint(3, 101, (2, 9)), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(model(**given, labels=labels).loss.item())
    assert losses[0] == losses[1] != losses[2]


@torch.no_grad()
def test_masks_embeddings_and_tuples(family):
    model, decoder = make(family, scale_embedding=False), torch.randint(3, 101, (2, 5))
    given = inputs(60, "scattered")
    wanted = model(**given, decoder_input_ids=decoder)
    for dtype in (torch.bool, torch.float32):
        mask = given["attention_mask"].to(dtype)
        torch.testing.assert_close(model(given["input_ids"], mask, decoder).logits, wanted.logits)
    embeds = model.get_encoder().embed_tokens(given["input_ids"])
    got = model(inputs_embeds=embeds, attention_mask=given["attention_mask"], decoder_input_ids=decoder)
    torch.testing.assert_close(got.logits, wanted.logits)
    torch.testing.assert_close(model(**given, decoder_input_ids=decoder, return_dict=False)[0], wanted.logits)
    with pytest.raises(ValueError, match="neither of input_ids"):
        model.get_encoder()()
    with pytest.raises(ValueError, match="1025 tokens, the model takes 1024"):
        model.get_encoder()(torch.ones(1, 1025, dtype=torch.long))


@torch.no_grad()
def test_attention_weights_explain_the_output(family):
    model = make(family, sparsity_type="norm")
    for length in (30, 70):
        given = inputs(length, "right")
        out = model.get_encoder()(**given, output_attentions=True)
        assert len(out.attentions) == 2
        weights = out.attentions[-1]
        real = given["attention_mask"].bool()
        assert weights["global"].shape == (2, 4, 2, 2 + length)
        assert weights["local"].shape == (2, 4, length, 2 + length if length <= 32 else 2 + 32 + 48)
        rows = weights["local"].sum(-1).transpose(1, 2)
        torch.testing.assert_close(rows[real], torch.ones_like(rows[real]))
        assert rows[~real].eq(0).all()
        torch.testing.assert_close(weights["global"].sum(-1), torch.ones(2, 4, 2))
        assert weights["global"][..., 2:].transpose(1, -1)[~real].eq(0).all()


@pytest.mark.parametrize("changes", [{}, {"sparsity_type": "lsh", "lsh_seed": 3}, {"sparsity_type": "bos_pooling"}])
@torch.no_grad()
def test_the_encoder_compiles_and_exports_without_graph_breaks(family, changes):
    encoder = make(family, **changes).get_encoder()
    given = inputs(70, "right")
    wanted = encoder(**given).last_hidden_state
    torch._dynamo.reset()
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**given).last_hidden_state, wanted, rtol=1e-4, atol=1e-5)
    program = torch.export.export(encoder, (), given)
    torch.testing.assert_close(program.module()(**given).last_hidden_state, wanted, rtol=1e-4, atol=1e-5)


def test_positions_resize(family):
    model, before = make(family), make(family).get_encoder().embed_positions
    given, decoder = inputs(100), torch.randint(3, 101, (2, 5))
    wanted = model(**given, decoder_input_ids=decoder).logits
    model.resize_position_embeddings(2000)
    assert model.config.max_position_embeddings == 2000
    table = model.get_encoder().embed_positions
    assert table.positions == model.get_decoder().embed_positions.positions == 2000
    if family == "bart":  # learned rows are repeated
        assert torch.equal(table(0, 1024), before(0, 1024))
        assert torch.equal(table(1024, 900), before(0, 900))
        torch.testing.assert_close(model(**given, decoder_input_ids=decoder).logits, wanted)
    else:  # sinusoids are computed
        assert torch.equal(table.weight, type(table)(2000, 32).weight)
    assert model(**inputs(1999), decoder_input_ids=decoder).logits.isfinite().all()


def test_embeddings_resize(family):
    model = make(family)
    given, decoder = inputs(20), torch.randint(3, 101, (2, 5))
    wanted = model(**given, decoder_input_ids=decoder).logits
    model.resize_token_embeddings(110)
    got = model(**given, decoder_input_ids=decoder).logits
    assert got.shape[-1] == 110
    torch.testing.assert_close(got[..., :101], wanted, rtol=1e-4, atol=1e-4)


# -- heads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LSGPegasusForSequenceClassification, LSGBartForSequenceClassification])
def test_classification(kind):
    family = "pegasus" if "Pegasus" in kind.__name__ else "bart"
    model = kind(CLASSES[family][0](**fields(family), num_labels=4)).eval()
    given = inputs(60)
    given["input_ids"][:, [20, 59]] = model.config.eos_token_id
    out = model(**given, labels=torch.tensor([1, 3]))
    assert out.logits.shape == (2, 4)
    out.loss.backward()
    torch.testing.assert_close(model(**given, return_dict=False)[0], out.logits)
    given["input_ids"][0] = 5
    with pytest.raises(ValueError, match="end-of-text"):
        model(**given)
    names = set(model.state_dict())
    assert {"classification_head.dense.weight", "classification_head.out_proj.bias"} <= names


def test_question_answering():
    model = LSGBartForQuestionAnswering(LSGBartConfig(**fields("bart"))).eval()
    out = model(**inputs(60), start_positions=torch.tensor([3, 70]), end_positions=torch.tensor([5, 9]))
    assert out.start_logits.shape == out.end_logits.shape == (2, 60)
    assert out.loss.isfinite()


# -- files -------------------------------------------------------------------------------------------------------------


def published(folder, family="pegasus", drop=(), **changes):
    """A checkpoint as the published ones are: the plain model's type, code to be run, all tied weights."""
    model = make(family)
    config = model.config.to_dict() | {
        "model_type": family,
        "architectures": [type(model).__name__],
        "auto_map": {"AutoModelForSeq2SeqLM": f"modeling_lsg_{family}.{type(model).__name__}"},
        "base_model_prefix": "lsg",
        "length_penalty": 0.8,
        "num_beams": 8,
        **changes,
    }
    for ours in ("strict_geometry", "mask_empty_groups", "lsh_seed"):
        config.pop(ours)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weights = {k: v.clone() for k, v in model.state_dict().items() if not any(d in k for d in drop)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return model


def test_published_checkpoints_load_without_their_code(family, tmp_path):
    model = published(tmp_path, family)
    again = longsum_lib.load(tmp_path, device="cpu")
    assert type(again) is type(model)
    assert again.get_encoder().embed_positions.weight.requires_grad == (family == "bart")
    given, decoder = inputs(100, "right"), torch.randint(3, 101, (2, 5))
    wanted = model(**given, decoder_input_ids=decoder).logits
    torch.testing.assert_close(again(**given, decoder_input_ids=decoder).logits, wanted)
    again.save_pretrained(tmp_path / "ours")
    saved = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert saved["model_type"] == f"lsg_{family}"  # so that no one loads it as the plain model without a word
    assert "auto_map" not in saved
    third = longsum_lib.load(tmp_path / "ours", device="cpu")
    torch.testing.assert_close(third(**given, decoder_input_ids=decoder).logits, wanted)


def test_older_pegasus_files_lack_the_sinusoids(tmp_path):
    published(tmp_path, drop=("embed_positions", "final_logits_bias"))
    model = longsum_lib.load(tmp_path, device="cpu")
    from transformers.models.pegasus.modeling_pegasus import PegasusSinusoidalPositionalEmbedding

    wanted = PegasusSinusoidalPositionalEmbedding(1024, 32).create_weight()
    for table in (model.get_encoder().embed_positions, model.get_decoder().embed_positions):
        torch.testing.assert_close(table.weight.data, wanted, rtol=0, atol=1e-6)
        assert not table.weight.requires_grad  # transformers trains the table that it loads


def test_pickled_and_sharded_checkpoints_load(family, tmp_path):
    model = published(tmp_path, family)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    again = longsum_lib.load(tmp_path, device="cpu")
    again.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    third = longsum_lib.load(tmp_path / "shards", device="cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(third.state_dict()[name], tensor), name


def test_base_and_headed_files_load_into_each_other(family, tmp_path):
    model = make(family)
    base = {"pegasus": LSGPegasusModel, "bart": LSGBartModel}[family]
    model.save_pretrained(tmp_path / "headed")
    plain = longsum_lib.load(tmp_path / "headed", task="features", device="cpu")
    assert type(plain) is base
    plain.save_pretrained(tmp_path / "plain")
    again = type(model).from_pretrained(tmp_path / "plain")
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor) or name == "final_logits_bias", name


def test_it_loads_onto_a_device_map(family, tmp_path):
    pytest.importorskip("accelerate")
    model = make(family)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, device_map="auto", dtype=torch.bfloat16)
    assert next(again.parameters()).dtype == torch.bfloat16
    assert again.generate(**inputs(20), max_new_tokens=3).shape[0] == 2


# -- configs -----------------------------------------------------------------------------------------------------------


def test_configs_check_their_fields(caplog):
    with pytest.raises(ValueError, match="wrong sparse keys"):
        LSGBartConfig(block_size=16, sparse_block_size=4, sparsity_factor=2)
    with pytest.raises(ValueError, match="expected one of: norm"):
        LSGPegasusConfig(sparsity_type="nrom")
    assert LSGBartConfig(block_size=16, sparse_block_size=4, strict_geometry=False).check_lsg().width == 4
    with caplog.at_level("WARNING"):
        config = LSGPegasusConfig(num_global_tokens=600, mask_first_token=True, pool_with_global=False)
    assert config.num_global_tokens == 512
    assert config.pool_with_global
    assert "expected 1 to 512" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING"):
        LSGBartConfig(lsg_num_pre_rounds=2)
        LSGBartConfig(sparsity_type="stride", sparsity_factor=32)
    assert "lsh_num_pre_rounds" in caplog.text
    assert "selected by no head" in caplog.text
