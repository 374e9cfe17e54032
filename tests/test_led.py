"""What is particular to LED: windows, global tokens, weights, its heads, its tokenizer, the reference's defects."""

import json
import logging

import pytest
import torch
import transformers
from families import FAMILIES, inputs, led_config, ours_only, pair, shake

from longsum_lib.models.led.heads import (
    LEDForConditionalGeneration,
    LEDForQuestionAnswering,
    LEDForSequenceClassification,
    LEDModel,
    LEDTokenizer,
)
from longsum_lib.models.led.model import one_sided_windows

LED = FAMILIES["led"]


@pytest.mark.parametrize("length", [1, 7, 40, 129])
@torch.no_grad()
def test_attention_weights_have_the_references_layout(length):
    reference, ours = pair(LED)
    given = inputs(LED, length, "right")
    if length > 20:
        given["global_attention_mask"][1, 11] = 1
    arguments = given | {"decoder_input_ids": torch.randint(3, 101, (2, 4)), "output_attentions": True}
    wanted, got = reference(**arguments), ours(**arguments)
    real = given["attention_mask"].bool()
    for a, b in zip(got.encoder_attentions, wanted.encoder_attentions, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a.transpose(1, 2)[real], b.transpose(1, 2)[real], rtol=1e-4, atol=1e-5)
    for a, b in zip(got.encoder_global_attentions, wanted.encoder_global_attentions, strict=True):
        assert a.shape == b[:, :, :length].shape  # the reference leaves its padding to the window in
        for row in range(2):  # a sequence with fewer global tokens has no weights in the other columns
            count = int((given["global_attention_mask"][row] & given["attention_mask"][row]).sum())
            columns = (row, slice(None), real[row].nonzero().flatten(), slice(0, count))
            torch.testing.assert_close(a[columns], b[:, :, :length][columns], rtol=1e-4, atol=1e-5)
            assert a[row, ..., count:].eq(0).all()
    for a, b in zip(got.decoder_attentions, wanted.decoder_attentions, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(got.cross_attentions, wanted.cross_attentions, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_encoder_hidden_states_equal_the_reference_layer_by_layer():
    reference, ours = pair(LED)
    given = inputs(LED, 45, "right")
    wanted = reference.get_encoder()(**given, output_hidden_states=True)
    got = ours.get_encoder()(**given, output_hidden_states=True)
    real = given["attention_mask"].bool()
    for a, b in zip(got.hidden_states, wanted.hidden_states, strict=True):
        assert a.shape == (2, 45, 32)
        torch.testing.assert_close(a[real], b[real], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_many_scattered_global_tokens_equal_the_reference():
    reference, ours = pair(LED)
    given, decoder = inputs(LED, 90, "right"), torch.randint(3, 101, (2, 4))
    given["global_attention_mask"] = (torch.rand(2, 90) < 0.3).long()
    given["global_attention_mask"][1, 10:] = 0
    wanted, got = reference(**given, decoder_input_ids=decoder), ours(**given, decoder_input_ids=decoder)
    torch.testing.assert_close(got.logits, wanted.logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_a_global_mask_it_does_what_the_reference_does_and_says_so_once(caplog):
    reference, ours = pair(LED)
    given, decoder = inputs(LED, 40), torch.randint(3, 101, (2, 4))
    given.pop("global_attention_mask")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            got = ours(**given, decoder_input_ids=decoder)
    torch.testing.assert_close(got.logits, reference(**given, decoder_input_ids=decoder).logits, rtol=1e-4, atol=1e-4)
    advice = [r for r in caplog.records if "without a global token" in r.getMessage()]
    assert len(advice) == 1


@torch.no_grad()
def test_a_merged_mask_with_twos_means_global():
    model = ours_only(LED)
    given, decoder = inputs(LED, 40, "right"), torch.randint(3, 101, (2, 4))
    wanted = model(**given, decoder_input_ids=decoder).logits
    merged = given["attention_mask"] * (given.pop("global_attention_mask") + 1)
    got = model(**given | {"attention_mask": merged}, decoder_input_ids=decoder).logits
    torch.testing.assert_close(got, wanted)


@torch.no_grad()
def test_the_references_static_cache_is_wrong_and_ours_is_right():
    """The reference gives single-token steps no causal mask, so empty slots of a static cache take probability."""
    reference, ours = pair(LED)
    given, decoder = inputs(LED, 30), torch.randint(3, 101, (2, 5))
    wanted = reference(**given, decoder_input_ids=decoder).logits

    def by_steps(model):
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache, StaticCache

        cache = EncoderDecoderCache(StaticCache(config=model.config, max_cache_len=32), DynamicCache())
        steps = [
            model(**given, decoder_input_ids=decoder[:, i : i + 1], past_key_values=cache, use_cache=True).logits
            for i in range(5)
        ]
        return torch.cat(steps, 1)

    torch.testing.assert_close(by_steps(ours), wanted, rtol=1e-4, atol=1e-4)
    assert (by_steps(reference) - wanted).abs().max() > 1e-2


@torch.no_grad()
def test_no_padding_to_the_window_is_visible():
    model = ours_only(LED)
    for length in (1, 5, 17):
        out = model(**inputs(LED, length), output_hidden_states=True, output_attentions=True)
        assert out.encoder_last_hidden_state.shape[1] == length
        assert all(h.shape[1] == length for h in out.encoder_hidden_states)
        assert all(w.shape[2] == length for w in out.encoder_attentions + out.encoder_global_attentions)


def test_positions_are_checked_with_both_lengths():
    model = ours_only(LED)
    with pytest.raises(ValueError, match="1025 tokens, the model takes 1024"):
        model(**inputs(LED, 1025))
    with pytest.raises(ValueError, match="decoder is at token 65, the model takes 64"):
        model(**inputs(LED, 10), decoder_input_ids=torch.ones(2, 65, dtype=torch.long))


def test_windows_are_halved_once_and_the_config_is_left_alone():
    config = led_config(attention_window=10)
    assert one_sided_windows(config) == [5, 5]
    LEDModel(config)
    assert config.attention_window == 10  # the reference rewrites an int to a list
    for bad, message in ((7, "even number"), (0, "even number"), ([8], "1 entries, expected one for each of 2")):
        with pytest.raises(ValueError, match=message):
            one_sided_windows(led_config(attention_window=bad))


def test_an_untied_checkpoint_without_logits_bias_loads(tmp_path):
    model = ours_only(LED)
    state = {k: v for k, v in model.state_dict().items() if k != "final_logits_bias"}
    model.save_pretrained(tmp_path, state_dict=state)
    again = LEDForConditionalGeneration.from_pretrained(tmp_path)
    assert again.final_logits_bias.eq(0).all()


def test_classification_reads_the_last_end_of_text_and_loads_old_checkpoints(tmp_path):
    torch.manual_seed(0)
    model = shake(LEDForSequenceClassification(led_config(num_labels=3))).eval()
    given = inputs(LED, 20)
    given["input_ids"][:, [4, 12]] = 2
    labels = torch.tensor([0, 2])
    with torch.no_grad():
        out = model(**given, labels=labels)
    assert out.logits.shape == (2, 3)
    assert out.loss == pytest.approx(torch.nn.functional.cross_entropy(out.logits, labels).item())
    changed = given["input_ids"].clone()
    changed[:, 12] = 3  # now the end of the text is earlier
    assert not torch.allclose(model(**given | {"input_ids": changed}).logits, out.logits)
    assert model(**given, labels=torch.rand(2, 3)).loss.isfinite()  # several labels at once
    with pytest.raises(ValueError, match="end-of-text token, id 2"):
        model(**inputs(LED, 5))
    model.save_pretrained(tmp_path)
    keys = transformers.utils.hub.cached_file(tmp_path, "model.safetensors")
    from safetensors import safe_open

    with safe_open(keys, "pt") as file:
        assert {"classification_head.dense.weight", "classification_head.out_proj.bias"} <= set(file.keys())
    again = LEDForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**given).logits, out.logits)


@torch.no_grad()
def test_question_answering_equals_the_reference():
    torch.manual_seed(0)
    reference = shake(transformers.LEDForQuestionAnswering(led_config())).eval()
    ours = LEDForQuestionAnswering(led_config()).eval()
    ours.load_state_dict(reference.state_dict(), strict=True)
    given = inputs(LED, 33, "right")
    spans = {"start_positions": torch.tensor([3, 40]), "end_positions": torch.tensor([5, 41])}  # one beyond the input
    wanted, got = reference(**given, **spans), ours(**given, **spans)
    torch.testing.assert_close(got.start_logits, wanted.start_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.end_logits, wanted.end_logits, rtol=1e-4, atol=1e-4)
    assert got.loss == pytest.approx(wanted.loss.item(), rel=1e-4)


@pytest.fixture
def tokenizer(tmp_path):
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "Ġ", "Ġa", "Ġb"]
    (tmp_path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ a\nĠ b\n")
    return LEDTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_tokenizer_pads_the_global_mask(tokenizer, side):
    tokenizer.padding_side = side
    rows = [tokenizer("a b a"), tokenizer("a")]
    for row in rows:
        row["global_attention_mask"] = [1] + [0] * (len(row["input_ids"]) - 1)
    padded = tokenizer.pad(rows, return_tensors="pt")
    assert padded["global_attention_mask"].shape == padded["input_ids"].shape
    short = padded["global_attention_mask"][1].tolist()
    real = padded["attention_mask"][1].bool().tolist()
    assert [m for m, r in zip(short, real, strict=True) if r] == rows[1]["global_attention_mask"]
    assert {m for m, r in zip(short, real, strict=True) if not r} == {-1}
    plain = tokenizer.pad([tokenizer("a b a"), tokenizer("a")])
    assert "global_attention_mask" not in plain
