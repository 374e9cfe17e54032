"""The converter to LSG: weights kept, positions extended, global tokens made as the published converter makes them."""

import json

import pytest
import torch
import transformers
from families import shake

import longsum_lib
from longsum_lib.cli import main
from longsum_lib.corpus.tokenizer import bundled_tokenizer
from longsum_lib.errors import LongsumWarning, OptionError, UnsupportedModel
from longsum_lib.loading.convert_lsg import convert_to_lsg
from longsum_lib.models.lsg.global_positions import order_positions

ATTENTION = {"block_size": 16, "sparse_block_size": 16}


def tokenizer():
    return bundled_tokenizer()


def plain(kind="Bart", head="ForConditionalGeneration", positions=64, **changes):
    fields = {
        "vocab_size": len(tokenizer()),
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": positions,
    }
    model = getattr(transformers, kind + head)
    torch.manual_seed(0)
    return shake(model(model.config_class(**fields | changes))).eval()


def encode(model, length=40):
    ids = torch.randint(5, 101, (1, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_positions_are_ordered_as_the_published_converter_does():
    for rows, stride in ((512, 64), (1024, 64), (1024, 32), (4096, 64), (1500, 64)):
        positions = torch.arange(float(rows))[:, None]
        got = order_positions(positions, stride).flatten().tolist()
        factor = rows // 512
        run = 512 // (stride // factor)
        assert got == [(k % run) * stride + (k // run) * factor for k in range(512)]
    assert order_positions(torch.arange(1024.0)[:, None], 64).flatten()[14:20].tolist() == [896, 960, 2, 66, 130, 194]
    few = torch.randn(100, 3)
    filled = order_positions(few, 64, torch.Generator().manual_seed(1))
    assert filled.shape == (512, 3)
    assert torch.equal(filled, order_positions(few, 64, torch.Generator().manual_seed(1)))
    kept = {tuple(row) for row in filled.tolist()}
    assert all(tuple(row) in kept for row in few.tolist())
    with pytest.raises(OptionError, match="such as 64"):
        order_positions(positions[:512], 48)
    with pytest.raises(OptionError, match="such as 512"):
        order_positions(torch.zeros(4096, 1), 4)


def test_global_tokens_are_first_and_mask_token_at_far_positions():
    model = plain(positions=512)
    lsg = convert_to_lsg(model, 700, tokenizer=tokenizer(), **ATTENTION)
    words, table = model.model.shared.weight, model.model.encoder.embed_positions.weight[2:]
    order = order_positions(table, 64)
    rows = lsg.model.encoder.global_embeddings.weight
    torch.testing.assert_close(rows[0], order[0] + words[tokenizer().bos_token_id])
    torch.testing.assert_close(rows[1:], order[1:] + words[tokenizer().mask_token_id])
    assert lsg.config.max_position_embeddings == 700


@pytest.mark.parametrize("kind", ["Bart", "Pegasus"])
def test_weights_are_kept_and_positions_extended(kind):
    model = plain(kind)
    lsg = convert_to_lsg(model, 200, tokenizer=tokenizer(), **ATTENTION)
    assert type(lsg).__name__ == f"LSG{kind}ForConditionalGeneration"
    theirs = model.state_dict()
    for name, tensor in lsg.state_dict().items():
        if "global_embeddings" in name:
            assert tensor.shape == (512, 32)
        elif "embed_positions" in name:
            assert tensor.shape[0] == 200 + (2 if kind == "Bart" else 0)
            if kind == "Bart":
                assert torch.equal(tensor[:66], theirs[name])
                assert torch.equal(tensor[66:130], theirs[name][2:])
        else:
            assert torch.equal(tensor, theirs[name]), name
    out = lsg(**encode(lsg, 190), decoder_input_ids=torch.ones(1, 4, dtype=torch.long))
    assert out.logits.isfinite().all()
    assert lsg.generate(**encode(lsg, 190), max_new_tokens=4).shape[0] == 1


def test_a_converted_model_is_close_to_the_plain_one():
    """Without the global tokens' votes a short input gives the plain model's states: all its pairs see each other."""
    model = plain("Bart", positions=512)
    lsg = convert_to_lsg(model, 1024, tokenizer=tokenizer(), num_global_tokens=1, **ATTENTION)
    given = encode(lsg, 30)
    states = model.get_encoder()(**given).last_hidden_state
    with torch.no_grad():
        lsg.model.encoder.global_embeddings.weight.zero_()
    close = lsg.get_encoder()(**given).last_hidden_state[:, 1:]
    assert torch.nn.functional.cosine_similarity(close.flatten(), states.flatten(), dim=0) > 0.95


@pytest.mark.parametrize("kind", ["Bart", "Pegasus"])
@pytest.mark.parametrize("head", ["Model", "ForConditionalGeneration", "ForSequenceClassification"])
def test_checkpoints_convert_and_reload(kind, head, tmp_path):
    if (kind, head) == ("Pegasus", "ForSequenceClassification"):
        model, architecture = plain(kind), "PegasusForSequenceClassification"
    else:
        model, architecture = plain(kind, head), None
    model.save_pretrained(tmp_path / "plain")
    tokenizer().save_pretrained(tmp_path / "plain")
    if architecture:
        with pytest.warns(LongsumWarning, match="no head"):
            lsg = convert_to_lsg(tmp_path / "plain", 128, architecture=architecture, **ATTENTION)
    else:
        lsg = convert_to_lsg(tmp_path / "plain", 128, **ATTENTION)
    assert type(lsg).__name__ == f"LSG{kind}{head}"
    assert not lsg.training
    lsg.save_pretrained(tmp_path / "lsg")
    task = {"Model": "features", "ForConditionalGeneration": "summarization"}.get(head, "sequence-classification")
    again = longsum_lib.load(tmp_path / "lsg", task=task, device="cpu")
    assert type(again) is type(lsg)
    for name, tensor in lsg.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert again.config.block_size == 16


def test_command(tmp_path, capsys):
    plain("Bart").save_pretrained(tmp_path / "plain")
    tokenizer().save_pretrained(tmp_path / "plain")
    source, target = str(tmp_path / "plain"), str(tmp_path / "lsg")
    options = ["--max-length", "256", "--block-size", "16", "--sparse-block-size", "16", "--num-global-tokens", "3"]
    assert main(["convert-lsg", source, target, *options, "--sparsity-type", "pooling", "--no-pool-with-global"]) == 0
    assert "LSGBartForConditionalGeneration, 256 tokens" in capsys.readouterr().out
    model = longsum_lib.load(target, device="cpu")
    assert model.config.sparsity_type == "pooling"
    assert model.config.num_global_tokens == 3
    assert not model.config.pool_with_global
    assert longsum_lib.load_tokenizer(target).model_max_length == 256
    assert json.loads((tmp_path / "lsg" / "config.json").read_text())["model_type"] == "lsg_bart"
    assert main(["convert-lsg", source, target]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["convert-lsg", source, str(tmp_path / "bad"), "--block-size", "10"]) == 1
    assert "an odd number" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()


def test_lsg_checkpoints_resize_or_get_new_global_tokens():
    lsg = convert_to_lsg(plain(), 128, tokenizer=tokenizer(), **ATTENTION)
    with torch.no_grad():
        lsg.model.encoder.global_embeddings.weight.normal_()
    rows = lsg.model.encoder.global_embeddings.weight.detach().clone()
    longer = convert_to_lsg(lsg, 300, tokenizer=tokenizer(), resize_lsg=True)
    assert torch.equal(longer.model.encoder.global_embeddings.weight, rows)
    assert longer.config.max_position_embeddings == 300
    assert longer.config.block_size == 16
    with pytest.warns(LongsumWarning, match="but for the first"):
        anew = convert_to_lsg(lsg, 300, tokenizer=tokenizer(), keep_first_global_token=True)
    assert torch.equal(anew.model.encoder.global_embeddings.weight[0], rows[0])
    assert not torch.equal(anew.model.encoder.global_embeddings.weight[1], rows[1])


def test_random_global_tokens_follow_the_words():
    model = plain(positions=512)
    runs = [
        convert_to_lsg(model, 64, tokenizer=tokenizer(), random_global_init=True, seed=seed, **ATTENTION)
        for seed in (1, 1, 2)
    ]
    rows = [run.model.encoder.global_embeddings.weight.detach() for run in runs]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    words, order = model.model.shared.weight, order_positions(model.model.encoder.embed_positions.weight[2:], 64)
    drawn = (rows[0] - order)[1:]
    torch.testing.assert_close(rows[0][0], words[tokenizer().bos_token_id] + order[0])
    assert (drawn.mean(0) - words.mean(0)).abs().max() < 0.2 * words.std()
    assert (drawn.std(0) / words.std(0) - 1).abs().max() < 0.2


def test_without_a_tokenizer_global_tokens_are_positions():
    with pytest.warns(LongsumWarning, match="tokenizer="):
        lsg = convert_to_lsg(plain(positions=512), 64, **ATTENTION)
    order = order_positions(plain(positions=512).model.encoder.embed_positions.weight[2:], 64)
    torch.testing.assert_close(lsg.model.encoder.global_embeddings.weight[1:], order[1:])


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(OptionError, match="did you mean block_size"):
        convert_to_lsg(plain(), 64, block_sise=16)
    with pytest.raises(OptionError, match="three quarters"):
        convert_to_lsg(plain(), 64, block_size=16, sparse_block_size=4)
    with pytest.raises(OptionError, match="max_length is 0"):
        convert_to_lsg(plain(), 0)
    with pytest.raises(OptionError, match="BartForSequenceClassification"):
        convert_to_lsg(plain(), 64, architecture="BartForTokenClassification")
    config = transformers.T5Config(d_model=8, d_ff=8, d_kv=4, num_heads=2, num_layers=1, vocab_size=20)
    other = transformers.T5ForConditionalGeneration(config)
    with pytest.raises(UnsupportedModel, match="'t5' cannot be converted"):
        convert_to_lsg(other)
