"""A layer that runs chunk by chunk gives what it gives in one piece."""

import pytest
import torch
from transformers import LEDConfig, LongT5Config, PegasusXConfig

from longsum_lib.models.bigbird_pegasus.model import BigBirdPegasusConfig, BigBirdPegasusEncoder
from longsum_lib.models.core import streaming
from longsum_lib.models.core.looking import freedom_of
from longsum_lib.models.led.model import LEDEncoder
from longsum_lib.models.longt5.model import LongT5Encoder
from longsum_lib.models.pegasus_x import PegasusXEncoder

BART = {
    "vocab_size": 60,
    "d_model": 32,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
}
T5 = {"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "local_radius": 9}
BIG_BIRD = {**BART, "block_size": 4, "num_random_blocks": 2, "max_position_embeddings": 200, "use_bias": True}
OTHERS = {
    "PEGASUS-X": lambda: PegasusXEncoder(PegasusXConfig(**BART, block_size=16, num_global_tokens=5)),
    "LongT5 local": lambda: LongT5Encoder(LongT5Config(**T5)),
    "LongT5 transient-global": lambda: LongT5Encoder(
        LongT5Config(
            **T5, encoder_attention_type="transient-global", global_block_size=4, feed_forward_proj="gated-gelu"
        )
    ),
    "BigBird-Pegasus": lambda: BigBirdPegasusEncoder(BigBirdPegasusConfig(**BIG_BIRD)),
}


@pytest.fixture
def encoder() -> LEDEncoder:
    return spread(LEDEncoder(LEDConfig(**BART, attention_window=[8, 20, 4], max_encoder_position_embeddings=1024)))


def spread(encoder: torch.nn.Module) -> torch.nn.Module:
    """Fresh biases are zeros and fresh norms ones: make all weights count."""
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return encoder.eval()


def inputs(batch: int, length: int, kind: str) -> dict[str, torch.Tensor]:
    mask = torch.ones(batch, length, dtype=torch.long)
    if kind == "right":
        mask[0, length - length // 3 :] = 0
    elif kind == "left":
        mask[0, : length // 3] = 0
    elif kind == "scattered":
        mask = (torch.rand(batch, length) > 0.3).long()
    chosen = torch.zeros_like(mask)
    chosen[:, 0] = 1
    chosen[-1, [length // 2, length - 1]] = 1
    ids = torch.randint(3, 60, (batch, length))
    return {"input_ids": ids, "attention_mask": mask, "global_attention_mask": chosen}


@pytest.mark.parametrize("step", [1, 7, 32, 100])
@pytest.mark.parametrize("kind", ["none", "right", "left", "scattered"])
@pytest.mark.parametrize(("batch", "length"), [(1, 101), (2, 150)])
@torch.no_grad()
def test_streams_what_it_computes_at_once(encoder, monkeypatch, step, kind, batch, length):
    document = inputs(batch, length, kind)
    whole = encoder(**document).last_hidden_state
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", step)
    streamed = encoder(**document).last_hidden_state
    real = document["attention_mask"].bool()
    torch.testing.assert_close(streamed[real], whole[real], rtol=0, atol=2e-5 * float(whole.abs().max()))
    assert torch.isfinite(streamed).all()


@torch.no_grad()
def test_streams_without_global_tokens_and_keeps_hidden_states(encoder, monkeypatch):
    document = inputs(2, 120, "right")
    del document["global_attention_mask"]
    whole = encoder(**document, output_hidden_states=True)
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 16)
    streamed = encoder(**document, output_hidden_states=True)
    real = document["attention_mask"].bool()
    assert len(streamed.hidden_states) == 4
    for got, wanted in zip(streamed.hidden_states, whole.hidden_states, strict=True):
        torch.testing.assert_close(got[real], wanted[real], rtol=0, atol=2e-5 * float(wanted.abs().max()))


@torch.no_grad()
def test_many_global_tokens_and_projections_without_plain_weights(encoder, monkeypatch):
    document = inputs(1, 90, "none")
    document["global_attention_mask"][:, ::3] = 1  # more than d_model / heads: their projections are not absorbed
    whole = encoder(**document).last_hidden_state
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 16)
    torch.testing.assert_close(encoder(**document).last_hidden_state, whole, rtol=0, atol=1e-4)

    class Adapted(torch.nn.Linear):
        pass

    for layer in encoder.layers:
        attention = layer.self_attn.longformer_self_attn
        adapted = Adapted(32, 32)
        adapted.load_state_dict(attention.key_global.state_dict())
        attention.key_global = adapted
    torch.testing.assert_close(encoder(**document).last_hidden_state, whole, rtol=0, atol=1e-4)


def test_does_not_stream_where_autograd_watches(encoder, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 16)
    states = torch.zeros(1, 100, 32)
    assert not streaming.can_stream(states, freedom_of(encoder, keeps_states=False))
    with torch.no_grad():
        freedom = freedom_of(encoder, keeps_states=False)
        assert streaming.can_stream(states, freedom)
        assert not streaming.can_stream(states[:, :16], freedom)


def test_near_keys_project_every_row_once():
    seen = []

    def project(states):
        seen.extend(states[0, :, 0].tolist())
        return states, -states

    states = torch.arange(50.0).view(1, 50, 1).repeat(1, 1, 6)
    near = streaming.NearKeys(project, states, heads=2)
    for first, end in streaming.chunks(50, 8):
        key, value = near.move(first - 11, end + 11)
        expected = torch.arange(max(0, first - 11), min(50, end + 11)).float().view(1, 1, -1, 1).expand(1, 2, -1, 3)
        assert torch.equal(key, expected)
        assert torch.equal(value, -expected)
        assert key.stride()[2:] == (3, 1)
        assert value.stride()[2:] == (3, 1)
        assert (near.first, near.end) == (int(expected[0, 0, 0, 0]), int(expected[0, 0, -1, 0]) + 1)
    assert seen == list(range(50))


@pytest.mark.parametrize("step", [1, 7, 32, 100])
@pytest.mark.parametrize("kind", ["none", "right", "left", "scattered"])
@pytest.mark.parametrize(("batch", "length"), [(1, 101), (2, 64)])
@pytest.mark.parametrize("model", OTHERS)
@torch.no_grad()
def test_other_models_stream_what_they_compute_at_once(monkeypatch, model, batch, length, kind, step):
    encoder, document = spread(OTHERS[model]()), inputs(batch, length, kind)
    del document["global_attention_mask"]
    whole = encoder(**document, output_hidden_states=True)
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", step)
    calls = count_chunks(monkeypatch)
    streamed = encoder(**document).last_hidden_state
    assert len(calls) >= 3 * batch * (length // max(step, 16))
    real, wanted = document["attention_mask"].bool(), whole.last_hidden_state
    torch.testing.assert_close(streamed[real], wanted[real], rtol=0, atol=2e-5 * float(wanted.abs().max()))
    kept = encoder(**document, output_hidden_states=True)
    for got, old in zip(kept.hidden_states[1:3], whole.hidden_states[1:3], strict=True):  # written to new memory
        torch.testing.assert_close(got[real], old[real], rtol=0, atol=2e-5 * float(old.abs().max()))


def count_chunks(monkeypatch) -> list[int]:
    calls, by_chunks = [], streaming.by_chunks
    monkeypatch.setattr(streaming, "by_chunks", lambda *a, **k: calls.append(1) or by_chunks(*a, **k))
    return calls


@torch.no_grad()
def test_big_bird_with_random_blocks_or_ends_of_documents_is_not_streamed(monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 16)
    document = inputs(2, 101, "right")
    del document["global_attention_mask"]
    for options, masked, streams in (
        ({"random_blocks": "seeded"}, False, False),
        ({"last_block": "document"}, True, False),
        ({"last_block": "document"}, False, True),
        ({}, True, True),
    ):
        calls = count_chunks(monkeypatch)
        given = document if masked else {"input_ids": document["input_ids"]}
        spread(BigBirdPegasusEncoder(BigBirdPegasusConfig(**BIG_BIRD, **options)))(**given)
        assert bool(calls) == streams, options


@pytest.mark.parametrize("model", OTHERS)
def test_gradients_do_not_depend_on_the_chunks(monkeypatch, model):
    encoder, document = spread(OTHERS[model]()), inputs(1, 60, "none")["input_ids"]
    grads = []
    for step in (2048, 16):
        monkeypatch.setattr(streaming, "ROWS_PER_STEP", step)
        encoder.zero_grad()
        encoder(input_ids=document).last_hidden_state.square().mean().backward()
        grads.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
