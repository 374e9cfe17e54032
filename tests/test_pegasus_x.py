"""What is particular to PEGASUS-X: exact positions, weights, the stream of global tokens."""

import pytest
import torch
import transformers
from families import FAMILIES, inputs, ours_only, pair, pegasus_x_config
from transformers.models.pegasus_x.modeling_pegasus_x import PegasusXSinusoidalPositionalEmbedding

from longsum_lib.models.core.positions import SinusoidalPositions, sinusoids
from longsum_lib.models.pegasus_x import PegasusXModel

PEGASUS_X = FAMILIES["pegasus_x"]


def test_sinusoids_equal_the_reference_in_single_precision():
    wanted = PegasusXSinusoidalPositionalEmbedding(64)(torch.zeros(1, 5000, 64))
    torch.testing.assert_close(sinusoids(5000, 64), wanted.reshape(5000, 64), rtol=0, atol=0)
    torch.testing.assert_close(sinusoids(10, 64, first=4990), wanted.reshape(5000, 64)[4990:], rtol=0, atol=0)


def test_the_reference_loses_positions_in_bf16_and_ours_does_not():
    """Computed in bf16, 4,096 positions fall onto 769 different rows: bf16 has 8 bits for the position itself."""
    reference = PegasusXSinusoidalPositionalEmbedding(1024)(torch.zeros(1, 4096, 1024, dtype=torch.bfloat16))
    lost = reference.reshape(4096, 1024).unique(dim=0).shape[0]
    ours = SinusoidalPositions(1024)(4096, torch.device("cpu")).to(torch.bfloat16)
    assert lost == 769
    assert ours.unique(dim=0).shape[0] == 4096
    assert (ours.float() - sinusoids(4096, 1024)).abs().max() < 2**-8
    assert (reference.float().reshape(4096, 1024) - sinusoids(4096, 1024)).abs().max() > 1.9


@torch.no_grad()
def test_the_model_in_bf16_is_nearer_to_fp32_than_the_reference():
    reference, ours = pair(PEGASUS_X)
    given, decoder = inputs(PEGASUS_X, 900), torch.randint(3, 101, (2, 5))
    exact = reference(**given, decoder_input_ids=decoder).encoder_last_hidden_state
    errors = []
    for model in (reference, ours):
        out = model.to(torch.bfloat16)(**given, decoder_input_ids=decoder).encoder_last_hidden_state
        errors.append((out.float() - exact)[:, 600:].square().mean().sqrt().item())
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("length", [1, 16, 45])
@torch.no_grad()
def test_weights_and_hidden_states_have_the_references_layout(length):
    reference, ours = pair(PEGASUS_X)
    reference.set_attn_implementation("eager")
    given, decoder = inputs(PEGASUS_X, length, "right"), torch.randint(3, 101, (2, 4))
    asked = {"output_attentions": True, "output_hidden_states": True, "decoder_input_ids": decoder}
    wanted, got = reference(**given, **asked), ours(**given, **asked)
    real = given["attention_mask"].bool()
    for layer, (a, b) in enumerate(zip(got.encoder_attentions, wanted.encoder_attentions, strict=True)):
        torch.testing.assert_close(a["global"], b["global"], rtol=1e-4, atol=1e-5)
        assert a["local"].shape == b["local"].shape
        first = 8 if layer == 1 else 0  # half a block of padding in front of staggered blocks
        mine, rows = (w["local"].flatten(2, 3)[:, :, first : first + length].transpose(1, 2)[real] for w in (a, b))
        torch.testing.assert_close(mine, rows, rtol=1e-4, atol=1e-5)
    for a, b in zip(got.encoder_hidden_states[:-1], wanted.encoder_hidden_states[:-1], strict=True):
        assert a.shape[1] == length  # the reference leaves its padding to whole blocks in
        torch.testing.assert_close(a[real], b[:, :length][real], rtol=1e-4, atol=1e-4)
    (tokens, globals_), (wanted_tokens, wanted_globals) = (
        got.encoder_hidden_states[-1],
        wanted.encoder_hidden_states[-1],
    )
    torch.testing.assert_close(tokens[real], wanted_tokens[real], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(globals_, wanted_globals, rtol=1e-4, atol=1e-4)
    for a, b in zip(got.cross_attentions, wanted.cross_attentions, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_inputs_beyond_the_configured_positions_just_work():
    model = ours_only(PEGASUS_X, max_position_embeddings=64)
    out = model(**inputs(PEGASUS_X, 3000), decoder_input_ids=torch.ones(2, 3, dtype=torch.long))
    assert out.encoder_last_hidden_state.shape == (2, 3000, 32)


def test_without_staggering_blocks_stay_apart():
    model = ours_only(PEGASUS_X, stagger_local_blocks=False, num_global_tokens=5)
    assert all(not layer.self_attn.stagger for layer in model.get_encoder().layers)
    staggered = ours_only(PEGASUS_X).get_encoder().layers
    assert [layer.self_attn.stagger for layer in staggered] == [False, True, False]


def test_layer_drop_trains_where_the_reference_fails():
    model = ours_only(PEGASUS_X, encoder_layerdrop=0.7).train()
    torch.manual_seed(0)
    for _ in range(3):
        model(**inputs(PEGASUS_X, 20), labels=torch.randint(3, 101, (2, 4))).loss.backward()


def test_errors():
    with pytest.raises(ValueError, match="staggered blocks need an even number"):
        PegasusXModel(pegasus_x_config(block_size=5))
    with pytest.raises(ValueError, match="neither decoder_input_ids nor labels"):
        ours_only(PEGASUS_X)(**inputs(PEGASUS_X, 5))


def test_the_base_model_exchanges_weights_too():
    reference = transformers.PegasusXModel(pegasus_x_config())
    PegasusXModel(pegasus_x_config()).load_state_dict(reference.state_dict(), strict=True)
