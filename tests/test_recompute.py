"""What training computes twice, rather than keeps, has the same gradients."""

import pytest
import torch
from transformers import LEDConfig, LongT5Config

from longsum_lib import LEDForConditionalGeneration, LongT5ForConditionalGeneration
from longsum_lib.models.core import feed_forward
from longsum_lib.models.core.states import dropout

LED = {
    "vocab_size": 60,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "attention_window": 8,
    "activation_dropout": 0.2,
}
T5 = {"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "local_radius": 5}
MODELS = {
    "LED": lambda: LEDForConditionalGeneration(LEDConfig(**LED)),
    "LongT5": lambda: LongT5ForConditionalGeneration(
        LongT5Config(**T5, feed_forward_proj="gated-gelu", decoder_start_token_id=0)
    ),
}


def watched(run) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the result, and what autograd keeps for it."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        return run(), kept


@pytest.mark.parametrize("model", MODELS)
def test_gradients_are_the_same_and_wide_states_are_not_kept(monkeypatch, model):
    model = MODELS[model]().train()
    ids, labels = torch.randint(3, 60, (1, 40)), torch.randint(3, 60, (1, 9))
    grads, wide = [], []
    for limit in (1, 2**40):
        monkeypatch.setattr(feed_forward, "NUMBERS_TO_RECOMPUTE", limit)
        model.zero_grad()
        torch.manual_seed(3)
        loss, kept = watched(lambda: model(input_ids=ids, labels=labels).loss)
        loss.backward()
        wide.append(sum(tensor.shape[-1:] == (64,) for tensor in kept))
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert wide[0] < wide[1]
    for again, once in zip(*grads, strict=True):
        torch.testing.assert_close(again, once, rtol=1e-5, atol=1e-7)


def test_dropout_keeps_a_byte_a_number_and_the_mean():
    states = torch.ones(400, 300, requires_grad=True)
    out, kept = watched(lambda: dropout(states, 0.25, training=True))
    assert [tensor.dtype for tensor in kept] == [torch.bool]
    assert out.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(float(out.detach().mean()) - 1.0) < 0.01
    out.sum().backward()
    assert torch.equal(states.grad, out.detach())
    assert dropout(states, 0.25, training=False) is states
