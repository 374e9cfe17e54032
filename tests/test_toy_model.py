"""A new model costs what is new in it: a sixth one stands on the core in fewer than 250 lines and does all the rest."""

from pathlib import Path

import pytest
import torch
import toy_model
from torch import nn

from longsum_lib.attention import patterns
from longsum_lib.attention.reference import dense_attention


@pytest.fixture
def model():
    torch.manual_seed(0)
    return toy_model.ToyForConditionalGeneration(toy_model.ToyConfig(initializer_range=0.3)).eval()


def batch():
    ids = torch.randint(5, 100, (2, 40), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 30:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def test_its_file_is_short():
    assert len(Path(toy_model.__file__).read_text().splitlines()) < 250


def test_its_encoder_equals_dense_attention_under_the_pattern(model):
    layer, states = model.model.encoder.layers[0], torch.randn(2, 40, 32)
    padding = batch()["attention_mask"] > 0
    allowed = patterns.sliding_window(40, window=layer.window) & padding[:, None, None]
    context = dense_attention(*layer.project(states), attend=allowed & padding[:, None, :, None])
    torch.testing.assert_close(layer(states, padding), layer._finish(states, context.transpose(1, 2).flatten(2)))


def test_it_encodes_alike_whether_or_not_anyone_looks(model):
    seen = []
    with torch.no_grad():
        quick = model.model.encoder(**batch())
        handle = model.model.encoder.layers[1].register_forward_hook(lambda *_: seen.append(1))
        looked_at = model.model.encoder(**batch(), output_hidden_states=True, output_attentions=True)
    handle.remove()
    assert seen
    torch.testing.assert_close(quick.last_hidden_state, looked_at.last_hidden_state)
    assert len(looked_at.hidden_states) == 3
    assert len(looked_at.attentions) == 2


def test_it_trains(model):
    model.train()
    labels = torch.tensor([[7, 8, 9, 2], [10, 11, 2, -100]])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        losses.append(model(**batch(), labels=labels).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert all(p.grad is not None for p in model.parameters())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("beams", [1, 3])
def test_it_writes_the_same_with_a_cache_and_without(model, beams):
    options = {"num_beams": beams, "max_new_tokens": 12, "min_new_tokens": 8, "do_sample": False}
    with_cache, without = (model.generate(**batch(), **options, use_cache=use) for use in (True, False))
    assert torch.equal(with_cache, without)
    assert len(set(with_cache[0].tolist())) > 4


def test_it_is_saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = toy_model.ToyForConditionalGeneration.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    text = {"decoder_input_ids": torch.tensor([[2, 7, 8]] * 2)}
    assert torch.equal(model(**batch(), **text).logits, again(**batch(), **text).logits)


def test_a_decoder_must_say_how_it_embeds(model):
    class Silent(toy_model.Decoder, toy_model.ToyStack):
        def __init__(self, config):
            super().__init__(config, [nn.Identity()])

    with pytest.raises(NotImplementedError, match=r"write place\(\)"):
        Silent(model.config)(torch.ones(1, 2).long())
