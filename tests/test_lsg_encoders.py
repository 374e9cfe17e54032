"""LSG-BERT and LSG-RoBERTa: equal to the plain models where attention is full, to the oracle where it is not."""

import json

import pytest
import torch
import transformers
from families import shake

import longsum_lib
from longsum_lib.attention.lsg import attention as mechanism
from longsum_lib.attention.lsg.sparse import SPARSITY_TYPES
from longsum_lib.errors import LongsumWarning
from longsum_lib.loading.convert_lsg import convert_to_lsg
from longsum_lib.models.lsg import encoders as lsg_encoders
from longsum_lib.models.lsg import layer as lsg_layers
from longsum_lib.models.lsg.global_positions import order_positions

KINDS = ["Bert", "Roberta"]
HEADS = ["ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering", "ForTokenClassification", "Model"]
ATTENTION = {"block_size": 16, "sparse_block_size": 16, "num_global_tokens": 2}


def fields(**changes):
    base = {
        "vocab_size": 101,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": 3,
    }
    return base | changes


def plain(kind, head="ForMaskedLM", positions=514):
    model = getattr(transformers, kind + head)
    torch.manual_seed(0)
    labels = 2 if head == "ForQuestionAnswering" else 3
    return shake(model(model.config_class(**fields(max_position_embeddings=positions, num_labels=labels)))).eval()


def ours(kind, head="ForMaskedLM", **changes):
    model = getattr(lsg_encoders, f"LSG{kind}{head}")
    torch.manual_seed(0)
    labels = 2 if head == "ForQuestionAnswering" else 3
    config = fields(max_position_embeddings=1026, num_labels=labels) | ATTENTION | changes
    return shake(model(model.config_class(**config))).eval()


def inputs(length, padding="none", batch=2):
    from agreement import random_mask

    mask = random_mask(padding, batch, length)
    mask = torch.ones(batch, length, dtype=torch.bool) if mask is None else mask
    return {"input_ids": torch.randint(5, 101, (batch, length)), "attention_mask": mask.long()}


def base_of(model):
    return getattr(model, model.base_model_prefix, model)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@torch.no_grad()
def test_layers_and_embeddings_equal_the_plain_model(kind):
    """Up to two blocks the attention is full: transformers' layers on our embedded rows give the same states."""
    model, reference = base_of(ours(kind)), base_of(plain(kind, positions=1026))
    for own, theirs in ((model.embeddings, reference.embeddings), (model.encoder, reference.encoder)):
        weights = {k: v for k, v in own.state_dict().items() if "global_embeddings" not in k}
        theirs.load_state_dict(weights, strict=True)
    given = inputs(30, "right")
    given["input_ids"][given["attention_mask"] == 0] = reference.config.pad_token_id
    types = torch.randint(0, 2, (2, 30))
    rows = model.embeddings(given["input_ids"], types)
    torch.testing.assert_close(rows[:, 2:], reference.embeddings(given["input_ids"], types), rtol=1e-5, atol=1e-5)
    real = torch.nn.functional.pad(given["attention_mask"], (2, 0), value=1).bool()
    wanted = reference.encoder(rows, real[:, None, None, :].expand(-1, 1, 32, -1)).last_hidden_state
    got = model(**given, token_type_ids=types, output_hidden_states=True)
    torch.testing.assert_close(got.hidden_states[-1][real], wanted[real], rtol=1e-4, atol=1e-5)
    pooled = torch.cat([wanted[:, :1], wanted[:, 3:]], 1)  # the first token's state is the first global token's
    torch.testing.assert_close(got.last_hidden_state[real[:, 2:]], pooled[real[:, 2:]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sparsity", SPARSITY_TYPES)
def test_model_equals_the_dense_oracle(kind, sparsity, monkeypatch):
    model = ours(kind, "ForTokenClassification", sparsity_type=sparsity, sparsity_factor=4, lsh_seed=1)
    given, labels = inputs(100, "right"), torch.randint(0, 3, (2, 100))

    def run():
        model.zero_grad()
        out = model(**given, labels=labels)
        out.loss.backward()
        return out.logits[given["attention_mask"].bool()].detach(), [p.grad.clone() for p in model.parameters()]

    logits, grads = run()

    def oracle(*args, dropout, **options):
        return mechanism.lsg_attention(*args, **options, backend="reference")

    monkeypatch.setattr(lsg_layers, "lsg_attention", oracle)
    wanted, wanted_grads = run()
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    for a, b in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3 * float(b.abs().max()) + 1e-7)


@pytest.mark.parametrize("head", HEADS)
def test_heads_any_length_and_padding(kind, head):
    model = ours(kind, head)
    labels = {
        "ForMaskedLM": lambda n: {"labels": torch.randint(0, 101, (2, n))},
        "ForSequenceClassification": lambda n: {"labels": torch.tensor([0, 2])},
        "ForQuestionAnswering": lambda n: {k: torch.zeros(2, dtype=int) for k in ("start_positions", "end_positions")},
        "ForTokenClassification": lambda n: {"labels": torch.randint(0, 3, (2, n))},
        "Model": lambda n: {},
    }[head]
    for length, padding in ((1, "none"), (7, "right"), (33, "left"), (129, "scattered"), (300, "empty")):
        out = model(**inputs(length, padding), **labels(length))
        first = out.start_logits if head == "ForQuestionAnswering" else out[0 if head == "Model" else 1]
        assert torch.isfinite(first).all()
        if head != "Model":
            assert out.loss.isfinite()
            out.loss.backward()
    if head == "Model":
        assert out.last_hidden_state.shape == (2, 300, 32)
        assert out.pooler_output.shape == (2, 32)


@torch.no_grad()
def test_options(kind):
    given = inputs(70, "right")
    base = ours(kind, "Model")
    states = base(**given).last_hidden_state
    apart = ours(kind, "Model", pool_with_global=False)(**given).last_hidden_state
    assert not torch.equal(apart[:, 0], states[:, 0])
    torch.testing.assert_close(apart[:, 1:], states[:, 1:])
    mask = given["attention_mask"].clone()
    hidden = ours(kind, "Model", mask_first_token=True)
    changed = given["input_ids"].clone()
    changed[:, 0] = 3
    got, other = hidden(**given).last_hidden_state, hidden(changed, mask).last_hidden_state
    torch.testing.assert_close(got[mask.bool()], other[mask.bool()])
    assert torch.equal(given["attention_mask"], mask)
    weights = base(**given, output_attentions=True).attentions
    assert weights[0]["local"].shape == (2, 4, 70, 2 + 32 + 48)
    with pytest.raises(ValueError, match="truncate or split"):
        base(**inputs(1100))
    with pytest.raises(ValueError, match="is_decoder=False"):
        ours(kind, "Model", is_decoder=True)


@torch.no_grad()
def test_right_padding_never_changes_the_output(kind):
    model = ours(kind, "Model")
    for length, pad in ((1, 3), (20, 90), (63, 2), (100, 200)):
        given = inputs(length, batch=1)
        padded = {
            "input_ids": torch.nn.functional.pad(given["input_ids"], (0, pad), value=model.config.pad_token_id),
            "attention_mask": torch.nn.functional.pad(given["attention_mask"], (0, pad)),
        }
        alone, both = (model(**g).last_hidden_state[:, :length] for g in (given, padded))
        torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_it_compiles_and_exports_without_graph_breaks(kind):
    model, given = ours(kind, "Model"), inputs(70, "right")
    wanted = model(**given).last_hidden_state
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**given).last_hidden_state, wanted, rtol=1e-4, atol=1e-5)
    program = torch.export.export(model, (), given)
    torch.testing.assert_close(program.module()(**given).last_hidden_state, wanted, rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(kind):
    model, given, grads = ours(kind).train(), inputs(70), []
    for checkpointing in (False, True):
        model.zero_grad()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**given, labels=given["input_ids"]).loss.backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


class Tokens:
    """A tokenizer's ids, nothing else."""

    bos_token_id, cls_token_id, mask_token_id = None, 7, 9


@pytest.mark.parametrize("head", HEADS)
def test_plain_models_convert(kind, head, tmp_path):
    model = plain(kind, head)
    lsg = convert_to_lsg(model, 700, tokenizer=Tokens(), **ATTENTION)
    extra = 2 if kind == "Roberta" else 0
    theirs, base = model.state_dict(), base_of(lsg)
    for name, tensor in lsg.state_dict().items():
        if "global_embeddings" in name:
            assert tensor.shape == (512, 32)
        elif "position_embeddings" in name:
            assert tensor.shape == (700 + extra, 32)
            assert torch.equal(tensor[:514], theirs[name])
            assert torch.equal(tensor[514:], theirs[name][extra : extra + 186 + extra])
        else:
            assert torch.equal(tensor, theirs[name]), name
    assert lsg.config.max_position_embeddings == 700 + extra
    words, positions = base.embeddings.word_embeddings.weight, base_of(model).embeddings.position_embeddings.weight
    order = order_positions(positions[extra:], 64)
    if kind == "Bert":
        order = order + base.embeddings.token_type_embeddings.weight[0]
    rows = base.embeddings.global_embeddings.weight
    torch.testing.assert_close(rows[0], order[0] + words[7])
    torch.testing.assert_close(rows[1:], order[1:] + words[9])
    lsg.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == f"lsg_{kind.lower()}"
    again = longsum_lib.load(tmp_path, device="cpu")
    assert type(again) is type(lsg)
    for name, tensor in lsg.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert again(**inputs(699))[0].isfinite().all()


def test_published_encoders_load_by_task(kind, tmp_path):
    model = ours(kind)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": kind.lower(),
        "auto_map": {"AutoModel": "modeling_lsg.LSGModel"},
        "base_model_prefix": "lsg",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert type(longsum_lib.load(tmp_path, device="cpu")) is type(model)
    with pytest.warns(LongsumWarning, match="random weights"):
        classifier = longsum_lib.load(tmp_path, task="token-classification", device="cpu")
    assert type(classifier).__name__ == f"LSG{kind}ForTokenClassification"
    theirs, own = base_of(model).state_dict(), base_of(classifier).state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in theirs.items())


def test_encoders_do_not_summarize(tmp_path):
    from longsum_lib.errors import OptionError

    ours("Bert").save_pretrained(tmp_path)
    with pytest.raises(OptionError, match="cannot write"):
        longsum_lib.summarize("A text.", model=str(tmp_path))
