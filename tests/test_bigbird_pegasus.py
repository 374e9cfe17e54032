"""What is particular to BigBird-Pegasus: a pattern without memory, both kinds of random blocks, documents' ends."""
# ruff: noqa: NPY002 - the reference draws from the global generator

import numpy as np
import pytest
import torch
import transformers
from families import FAMILIES, bigbird_pegasus_config, inputs, ours_only, pair, shake

from longsum_lib.models.bigbird_pegasus.model import BigBirdPegasusForConditionalGeneration, BigBirdPegasusModel

FAMILY = FAMILIES["bigbird_pegasus"]  # blocks of 8 and 2 random blocks: 72 tokens are short


def encode(model, given):
    return model.get_encoder()(**given).last_hidden_state


@torch.no_grad()
def test_a_short_input_leaves_no_trace():
    """Transformers switches to full attention at the first short input, and stays there."""
    reference, ours = pair(FAMILY)
    short, long = inputs(FAMILY, 20), inputs(FAMILY, 200)
    fresh = encode(reference, long)
    torch.testing.assert_close(encode(ours, long), fresh, rtol=1e-4, atol=1e-4)
    for model in (reference, ours):
        encode(model, short)
    assert (encode(reference, long) - fresh).abs().max() > 0.1
    torch.testing.assert_close(encode(ours, long), fresh, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [72, 73, 80, 250])
@pytest.mark.parametrize("padding", ["none", "right", "left", "scattered"])
@torch.no_grad()
def test_the_encoder_equals_the_reference_whatever_is_padded(length, padding):
    reference, ours = pair(FAMILY)
    given = inputs(FAMILY, length, padding)
    wanted, got = encode(reference, given), encode(ours, given)
    # In the sparse pattern rows of padding attend to nothing in the reference too; in full attention they do.
    rows = given["attention_mask"].bool() if length <= 72 else slice(None)
    torch.testing.assert_close(got[rows], wanted[rows], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_padding_to_whole_blocks_moves_the_end_as_in_the_reference():
    """The last block of the input is the one that all see, be it padding; ``document`` ends where the text ends."""
    reference, ours = pair(FAMILY)
    given = inputs(FAMILY, 100, batch=1)
    padded = {k: torch.nn.functional.pad(v, (0, 60)) for k, v in given.items()}
    alone, both = encode(reference, given), encode(reference, padded)[:, :100]
    assert (alone - both).abs().max() > 0.01
    torch.testing.assert_close(encode(ours, padded)[:, :100], both, rtol=1e-4, atol=1e-4)
    independent = ours_only(FAMILY, last_block="document")
    torch.testing.assert_close(encode(independent, given), alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encode(independent, padded)[:, :100], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [50, 130])
@torch.no_grad()
def test_weights_and_hidden_states_have_the_references_layout(length):
    reference, ours = pair(FAMILY)
    given, decoder = inputs(FAMILY, length, "right"), torch.randint(3, 101, (2, 4))
    asked = {"output_attentions": True, "output_hidden_states": True, "decoder_input_ids": decoder}
    wanted, got = reference(**given, **asked), ours(**given, **asked)
    real = given["attention_mask"].bool()
    for a, b in zip(got.encoder_attentions, wanted.encoder_attentions, strict=True):
        assert a.shape == (2, 4, length, length)
        b = b[:, :, :length, :length].clone()
        if length > 72:  # of the three times that block 0 counts, the reference shows one
            b[:, :, 8:128, :8] *= 3
        torch.testing.assert_close(a.transpose(1, 2)[real], b.transpose(1, 2)[real], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a.sum(-1), real[:, None].expand(2, 4, length).float())
    assert len(got.encoder_hidden_states) == len(wanted.encoder_hidden_states)
    for a, b in zip(got.encoder_hidden_states, wanted.encoder_hidden_states, strict=True):
        assert a.shape == (2, length, 32)  # the reference leaves its padding to whole blocks in
        torch.testing.assert_close(a[real], b[:, :length][real], rtol=1e-4, atol=1e-4)
    for a, b in zip(got.cross_attentions, wanted.cross_attentions, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [130, 1020])
def test_training_equals_the_reference_without_touching_its_global_generator(length):
    """1,020 tokens fill 1,024, where the reference follows another plan."""
    reference, ours = pair(FAMILY)
    given, labels = inputs(FAMILY, length, "right"), torch.randint(3, 101, (2, 5))
    trained = [model.train()(**given, labels=labels).loss.item() for model in (ours, reference)]
    evaluated = ours.eval()(**given, labels=labels).loss.item()
    assert trained[0] == pytest.approx(trained[1], rel=1e-5)
    assert trained[0] != pytest.approx(evaluated, rel=1e-5)
    touched = []
    for model in (ours, reference):
        np.random.seed(99)
        before = np.random.get_state()[1].tolist()
        model.train()(**given, labels=labels)
        touched.append(np.random.get_state()[1].tolist() != before)
    assert touched == [False, True]


@torch.no_grad()
def test_seeded_blocks_are_the_same_in_training_and_evaluation(tmp_path):
    given = inputs(FAMILY, 300, "right")
    model = ours_only(FAMILY, random_blocks="seeded", random_seed=7)
    states = encode(model, given)
    torch.testing.assert_close(encode(model.train(), given), states)
    encode(model, inputs(FAMILY, 20))
    torch.testing.assert_close(encode(model, given), states)
    for other in ({"random_blocks": "seeded", "random_seed": 8}, {"random_blocks": "reference"}):
        assert (encode(ours_only(FAMILY, **other), given) - states).abs().max() > 0.01
    model.save_pretrained(tmp_path)
    again = BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path)
    torch.testing.assert_close(encode(again, given), states)
    again = BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path, random_blocks="reference")
    torch.testing.assert_close(encode(again, given), encode(ours_only(FAMILY), given))
    again.config.random_blocks = "seeded"
    torch.testing.assert_close(encode(again, given), states)


def test_every_layer_and_head_draws_its_own_blocks():
    layers = ours_only(FAMILY, random_blocks="seeded").get_encoder().layers
    tables = [layer.self_attn.self.task(300).table(300, 4, torch.device("cpu")) for layer in layers]
    assert not torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0][0], tables[0][1])


def test_seeded_blocks_compile_and_train():
    model = ours_only(FAMILY, random_blocks="seeded").get_encoder().train()
    given = inputs(FAMILY, 100, "right")
    torch._dynamo.reset()
    grads = []
    for run in (model, torch.compile(model, fullgraph=True, backend="aot_eager")):
        model.zero_grad()
        run(**given).last_hidden_state.square().mean().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_full_attention_may_be_chosen():
    reference, ours = pair(FAMILY, attention_type="original_full")
    given = inputs(FAMILY, 200, "right")
    real = given["attention_mask"].bool()
    full = encode(ours, given)
    torch.testing.assert_close(full[real], encode(reference, given)[real], rtol=1e-4, atol=1e-4)
    ours.get_encoder().set_attention_type("block_sparse")
    assert (encode(ours, given) - full)[real].abs().max() > 0.01


@torch.no_grad()
def test_sizes_at_which_the_reference_fails():
    """No random blocks; and 1,000 positions in blocks of 32, which it pads to 1,024."""
    for changes, length in (
        ({"num_random_blocks": 0}, 100),
        ({"block_size": 32, "max_position_embeddings": 1000}, 1000),
    ):
        config = bigbird_pegasus_config(**changes)
        reference = shake(transformers.BigBirdPegasusModel(config)).eval()
        ours = BigBirdPegasusModel(config).eval()
        ours.load_state_dict(reference.state_dict())
        given = inputs(FAMILY, length, "right")
        with pytest.raises((RuntimeError, ValueError)):
            encode(reference, given)
        assert encode(ours, given).isfinite().all()


@torch.no_grad()
def test_projections_may_have_biases():
    config = bigbird_pegasus_config(use_bias=True)
    reference = shake(transformers.BigBirdPegasusModel(config)).eval()
    ours = BigBirdPegasusModel(config).eval()
    ours.load_state_dict(reference.state_dict(), strict=True)
    given = inputs(FAMILY, 90, "right")
    torch.testing.assert_close(encode(ours, given), encode(reference, given), rtol=1e-4, atol=1e-4)
    got, wanted = (m(**given).last_hidden_state for m in (ours, reference))  # decodes its input, as BART does
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_states_too_large_for_fp16_stay_finite():
    """Attention that adds more than 65,504: the reference normalizes infinities."""
    models = pair(FAMILY)
    for length in (20, 100):
        given, finite = inputs(FAMILY, length, "right"), []
        for model in models:
            for layer in model.get_encoder().layers:
                layer.self_attn.output.weight *= 40000 / layer.self_attn.output.weight.abs().max()
                layer.fc2.bias.fill_(60000)
            finite.append(bool(encode(model.half(), given).isfinite().all()))
        assert finite == [False, True]


def test_errors():
    with pytest.raises(ValueError, match=r"the input has 1025 tokens, the model takes 1024 \(config.max_position"):
        ours_only(FAMILY)(**inputs(FAMILY, 1025))
    with pytest.raises(ValueError, match=r"config\.attention_type is 'dense'"):
        BigBirdPegasusModel(bigbird_pegasus_config(attention_type="dense"))
    with pytest.raises(ValueError, match="random_blocks is 'none'"):
        BigBirdPegasusModel(bigbird_pegasus_config(random_blocks="none"))
    with pytest.raises(ValueError, match="block_size is 0"):
        BigBirdPegasusModel(bigbird_pegasus_config(block_size=0))
    with pytest.raises(ValueError, match="not a multiple of encoder_attention_heads"):
        BigBirdPegasusModel(bigbird_pegasus_config(encoder_attention_heads=5))
