"""A decoding step on static buffers gives what the decoder gives, and is not taken where somebody looks inside."""

import copy

import pytest
import torch
from families import FAMILIES, inputs, ours_only, shake
from test_lsg import CLASSES
from torch import nn
from transformers import StoppingCriteria, StoppingCriteriaList

from longsum_lib.models.core.step.decoder import StepDecoder
from longsum_lib.models.core.step.generating import StepCache, can_step
from longsum_lib.models.core.step.products import Product, Unreadable
from longsum_lib.models.core.step.rows import Rows

LSG_FIELDS = {
    "vocab_size": 101,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "block_size": 16,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 128,
    "sparse_block_size": 8,
    "sparsity_factor": 2,
    "num_global_tokens": 3,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "mask_first_token": True,
    "pass_global_tokens_to_decoder": True,
    "eos_token_id": 1,
    "bos_token_id": 0,
    "pad_token_id": 0,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 1,
}
NAMES = [*FAMILIES, "lsg_pegasus", "lsg_bart"]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def model_of(name, **changes):
    if name in FAMILIES:
        return ours_only(FAMILIES[name], **changes)
    config, model = CLASSES[name.removeprefix("lsg_")]
    torch.manual_seed(0)
    return shake(model(config(**LSG_FIELDS | changes))).eval()


def documents_of(name, length, batch=2, padding="right"):
    given = inputs(FAMILIES.get(name, FAMILIES["pegasus_x"]), length, padding, batch)
    given["input_ids"] = given["input_ids"].masked_fill(given["attention_mask"] == 0, 0)
    return given


@pytest.fixture
def steps_taken(monkeypatch):
    """Count the steps that are taken the short way."""
    taken, step = [], Rows.step
    monkeypatch.setattr(Rows, "step", lambda self, tokens: (taken.append(len(tokens)), step(self, tokens))[1])
    return taken


def long_way(model, given, **options):
    """What ``generate`` writes if nobody may take the short way: a hook on the head looks at what comes in."""
    hook = model.lm_head.register_forward_pre_hook(lambda module, states: None)
    try:
        return model.generate(**given, **options)
    finally:
        hook.remove()


def encoded(model, name, *lengths):
    """Encoder states of documents of these lengths, each alone."""
    states = []
    for length in lengths:
        given = documents_of(name, length, 1, "none")
        states.append(model.get_encoder()(**given).last_hidden_state[0])
    return states


def logits_of(model, states, tokens):
    """The decoder's own logits ``(length, vocabulary)`` of tokens ``(length,)``."""
    return model(encoder_outputs=(states[None],), decoder_input_ids=tokens[None], use_cache=False).logits[0]


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=2e-5)


@torch.no_grad()
def test_documents_of_any_length_are_written_about_together(name):
    model = model_of(name)
    states = encoded(model, name, 70, 3, 41)
    decoder = StepDecoder(model)
    rows = decoder.open([decoder.document(one) for one in states], capacity=2)
    tokens = torch.randint(3, 101, (3, 7))
    got = torch.stack([rows.step(column) for column in tokens.unbind(1)], 1)  # (documents, length, vocabulary)
    for row in range(3):
        close(got[row], logits_of(model, states[row], tokens[row]))
    assert rows.capacity == 8
    assert rows.positions == [7, 7, 7]


@torch.no_grad()
def test_a_row_ends_and_another_document_takes_its_place(name):
    model = model_of(name)
    first, second, third = encoded(model, name, 30, 12, 53)
    decoder = StepDecoder(model)
    rows = decoder.open([decoder.document(one) for one in (first, second)], capacity=4)
    tokens = torch.randint(3, 101, (2, 9))
    got = [rows.step(column) for column in tokens[:, :4].unbind(1)]
    rows.replace(1, decoder.document(third))
    got += [rows.step(column) for column in tokens[:, 4:].unbind(1)]
    assert rows.positions == [9, 5]
    got = torch.stack(got, 1)
    close(got[0], logits_of(model, first, tokens[0]))
    close(got[1, :4], logits_of(model, second, tokens[1, :4]))
    close(got[1, 4:], logits_of(model, third, tokens[1, 4:]))
    rows.reorder(torch.tensor([1]))  # the longer one is done
    assert rows.positions == [5]
    more = torch.randint(3, 101, (1,))
    close(rows.step(more)[0], logits_of(model, third, torch.cat([tokens[1, 4:], more]))[-1])


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 2, 3, 40])
@pytest.mark.parametrize("lacks", [True, False])
def test_a_document_in_bf16_is_read_alike_with_and_without_instructions_for_it(name, beams, lacks, monkeypatch):
    monkeypatch.setattr("longsum_lib.models.core.step.documents.lacks_half", lambda: lacks)
    model = model_of(name)
    (states,) = encoded(model, name, 37)
    exact, half = StepDecoder(model), StepDecoder(copy.deepcopy(model).bfloat16())
    some = torch.arange(len(states)) < 30
    for mask in (None, some, torch.zeros_like(some)):
        pair = [one.document(states.to(one.weights.dtype), mask, beams) for one in (exact, half)]
        for rows in (beams, 1, 4):  # beams end, others join
            query = torch.randn(rows, exact.weights.heads, exact.weights.head_dim)
            wanted, got = (
                keys.attend(1, query.to(one.weights.dtype)) for keys, one in zip(pair, (exact, half), strict=True)
            )
            assert (got.dtype, got.shape) == (torch.bfloat16, wanted.shape)
            assert (got.float() - wanted).norm() <= 0.1 * wanted.norm()


@torch.no_grad()
@pytest.mark.parametrize(("lacks", "rows", "expected"), [(True, 2, 0), (True, 3, 1), (False, 3, 0)])
def test_several_rows_in_slow_bf16_are_read_by_the_fused_kernel(lacks, rows, expected, monkeypatch):
    monkeypatch.setattr("longsum_lib.models.core.step.documents.lacks_half", lambda: lacks)
    fused, calls = nn.functional.scaled_dot_product_attention, []
    for dtype in (torch.bfloat16, torch.float32):
        decoder = StepDecoder(model_of("led").to(dtype))
        keys = decoder.document(
            torch.randn(9, decoder.weights.heads * decoder.weights.head_dim, dtype=dtype), beams=rows
        )
        with monkeypatch.context() as patched:
            patched.setattr(
                nn.functional, "scaled_dot_product_attention", lambda *a, **b: (calls.append(1), fused(*a, **b))[1]
            )
            keys.attend(0, torch.randn(rows, decoder.weights.heads, decoder.weights.head_dim, dtype=dtype))
        assert len(calls) == expected


@torch.no_grad()
@pytest.mark.parametrize("beams", [2, 4, 40])
def test_beams_follow_the_row_that_was_chosen(name, beams):
    model = model_of(name)
    (states,) = encoded(model, name, 25)
    decoder = StepDecoder(model)
    rows = decoder.open([decoder.document(states, beams=beams)] * beams)
    tokens = torch.randint(3, 101, (beams, 3))
    for column in tokens.unbind(1):
        rows.step(column)
    chosen = torch.randint(0, beams, (beams,))
    chosen[0] = 0
    rows.reorder(chosen)
    new = torch.randint(3, 101, (beams,))
    got = rows.step(new)
    for row in (0, 1, beams - 1):
        close(got[row], logits_of(model, states, torch.cat([tokens[chosen[row]], new[row : row + 1]]))[-1])


MODES = {
    "greedy": {},
    "beams": {"num_beams": 4, "num_return_sequences": 2},
    "sampling": {"do_sample": True, "top_k": 20, "num_return_sequences": 2},
    "sampling beams": {"do_sample": True, "num_beams": 3},
    "options": {"num_beams": 3, "no_repeat_ngram_size": 2, "min_new_tokens": 4, "length_penalty": 2.0},
}


@pytest.mark.parametrize("mode", list(MODES))
def test_generate_takes_it_and_writes_the_same_ids(name, mode, steps_taken):
    model, given = model_of(name), documents_of(name, 45, 3)
    options = {"max_new_tokens": 12, "eos_token_id": list(range(90, 101)), "pad_token_id": 0} | MODES[mode]
    written = []
    for way in (model.generate, lambda **given: long_way(model, given)):
        before = len(steps_taken)
        torch.manual_seed(1)
        written.append(way(**given, **options))
        taken = len(steps_taken) - before
        assert taken == 0 if written[1:] else taken > 0
    assert torch.equal(*written)


@pytest.mark.parametrize("prompt", [1, 4])
def test_a_prompt_goes_in_token_by_token(name, prompt, steps_taken):
    model, given = model_of(name), documents_of(name, 20)
    given["decoder_input_ids"] = torch.randint(3, 101, (2, prompt))
    assert torch.equal(model.generate(**given, max_new_tokens=5), long_way(model, given, max_new_tokens=5))
    assert len(steps_taken) == 1 + prompt + 4  # ``generate`` puts the start token in front


@pytest.mark.parametrize("name", ["led", "longt5_global", "lsg_pegasus"])
def test_a_document_of_nothing_but_padding(name, steps_taken):
    model, given = model_of(name), documents_of(name, 20, padding="empty")
    assert torch.equal(model.generate(**given, max_new_tokens=5), long_way(model, given, max_new_tokens=5))
    assert steps_taken


@pytest.mark.parametrize("beams", [1, 4])
def test_bf16_gives_nearly_the_same_logits(name, beams):
    model = model_of(name).bfloat16()
    (states,) = encoded(model, name, 33)
    with torch.no_grad():
        decoder = StepDecoder(model)
        rows = decoder.open([decoder.document(states, beams=beams)] * beams)
        tokens = torch.randint(3, 101, (6,))
        got = torch.stack([rows.step(token.expand(beams)) for token in tokens])
        wanted = logits_of(model, states, tokens)
    assert got.dtype == torch.bfloat16
    assert (got - wanted[:, None]).float().std() < 0.03 * wanted.float().std()


class Nothing(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, states):
        return self.inner(states)


def _hook(model):
    model.get_decoder().register_forward_hook(lambda *_: None)


def _hook_on_the_model(model):
    model.register_forward_hook(lambda *_: None)


def _wrapped(model):
    model.lm_head = Nothing(model.lm_head)


def _parametrized(model):
    layer = model.get_decoder().layers[0].parts().own
    nn.utils.parametrizations.weight_norm(layer.q_proj if "q_proj" in layer._modules else layer.q)


def _replaced_forward(model):
    forward = model.get_decoder().forward
    model.get_decoder().forward = lambda *args, **kwargs: forward(*args, **kwargs)


LOOKS = [_hook, _hook_on_the_model, _wrapped, _parametrized, _replaced_forward]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["led", "longt5_local"])
def test_it_is_not_taken_where_somebody_looks(name, look, steps_taken):
    model, given = model_of(name), documents_of(name, 20)
    wanted = model.generate(**given, max_new_tokens=4)
    assert steps_taken
    steps_taken.clear()
    watched = copy.deepcopy(model)
    look(watched)
    assert torch.equal(watched.generate(**given, max_new_tokens=4), wanted)
    assert not steps_taken


@pytest.mark.parametrize(
    "options",
    [
        {"return_dict_in_generate": True},
        {"return_dict_in_generate": True, "output_attentions": True},
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"prompt_lookup_num_tokens": 2},
        {"decoder_attention_mask": torch.tensor([[1, 1]] * 2), "decoder_input_ids": torch.tensor([[3, 4]] * 2)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_it_is_not_taken_where_more_is_asked_for(options, steps_taken):
    model, given = model_of("led"), documents_of("led", 20, 1 if "prompt_lookup_num_tokens" in options else 2)
    options = options | {"max_new_tokens": 4}
    written = [model.generate(**given, **options), long_way(model, given, **options)]
    assert torch.equal(*(getattr(output, "sequences", output) for output in written))
    assert not steps_taken


def test_training_and_gradients_are_looks():
    model = model_of("led")
    assert not can_step(model)  # gradients are on
    with torch.no_grad():
        assert can_step(model)
        assert not can_step(model.train())


def test_a_hook_on_the_encoder_is_none_of_its_business(steps_taken):
    model = model_of("led")
    model.get_encoder().register_forward_hook(lambda *_: None)
    model.generate(**documents_of("led", 20), max_new_tokens=3)
    assert steps_taken


class Inspects(StoppingCriteria):
    """Asks the model for attentions while it writes, with the cache that ``generate`` has."""

    def __init__(self, model):
        self.model, self.seen, forward = model, [], model.forward

        def spy(*args, **kwargs):
            cache = kwargs.get("cache", kwargs.get("past_key_values"))
            if isinstance(cache, StepCache) and cache.rows is not None and cache.rows.positions[0] == 2:
                kwargs["output_attentions"] = True
            output = forward(*args, **kwargs)
            self.seen.append(output.cross_attentions is not None)
            return output

        self.spy = spy

    def __call__(self, input_ids, scores, **kwargs):
        return torch.zeros(len(input_ids), dtype=torch.bool)


@pytest.mark.parametrize("beams", [1, 3])
def test_whoever_begins_to_look_finds_an_ordinary_cache(name, beams, steps_taken, monkeypatch):
    model, given = model_of(name), documents_of(name, 20)
    wanted = long_way(model, given, max_new_tokens=7, num_beams=beams)
    inspects = Inspects(model)
    monkeypatch.setattr(type(model), "forward", lambda self, *args, **kwargs: inspects.spy(*args, **kwargs))
    monkeypatch.setattr("longsum_lib.models.core.step.generating.can_step", lambda model: True)
    criteria = StoppingCriteriaList([inspects])
    written = model.generate(**given, max_new_tokens=7, num_beams=beams, stopping_criteria=criteria)
    assert torch.equal(written, wanted)
    assert len(steps_taken) == 2
    assert inspects.seen == [False, False, True, *[False] * (len(inspects.seen) - 3)]


@pytest.mark.parametrize(("name", "most"), [("led", 64), ("lsg_bart", 128), ("bigbird_pegasus", 1024)])
def test_beyond_the_last_position_the_message_is_the_same(name, most, steps_taken):
    model = model_of(name)
    given = documents_of(name, 20, 1, "none") | {"decoder_input_ids": torch.full((1, most - 3), 5)}
    options, messages = {"max_new_tokens": 9, "min_new_tokens": 9}, []
    for way in (model.generate, lambda **given: long_way(model, given)):
        with pytest.raises(ValueError, match=r"the (decoder is at token|summary has)") as caught:
            way(**given, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert len(steps_taken) == most + 1


def test_unknown_kinds_of_layers_are_not_read():
    class Linear(nn.Linear):
        pass

    assert Product.of(nn.Linear(3, 4), nn.Linear(3, 2, bias=False))(torch.ones(1, 3)).shape == (1, 6)
    for module in (Linear(3, 4), nn.Linear(3, 4).half(), nn.Bilinear(1, 1, 1)):
        with pytest.raises(Unreadable):
            Product.of(module)
    model = model_of("led")
    model.lm_head.double()
    with pytest.raises(Unreadable):
        StepDecoder(model)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 33])
@pytest.mark.parametrize("inputs_", [16, 1100])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_products_of_any_number_of_rows(count, inputs_, bias):
    module, rows = nn.Linear(inputs_, 24, bias=bias), torch.randn(count, inputs_)
    got = Product.of(module)(rows)
    assert got.is_contiguous()
    torch.testing.assert_close(got, module(rows), rtol=1e-5, atol=1e-5)


def test_states_of_a_batch_are_no_document():
    decoder = StepDecoder(model_of("led"))
    with pytest.raises(ValueError, match=r"expected \(length, d_model\)"):
        decoder.document(torch.randn(1, 4, 32))
    rows = decoder.open([decoder.document(torch.randn(4, 32))])
    with pytest.raises(ValueError, match="one a row"):
        rows.step(torch.tensor([3, 4]))


def test_what_a_document_takes():
    decoder = StepDecoder(model_of("led"))
    assert decoder.document(torch.randn(10, 32)).bytes == 2 * 2 * 10 * 32 * 4  # layers, keys and values, rows, fp32
    real = torch.tensor([True] * 6 + [False] * 4)
    assert decoder.document(torch.randn(10, 32), real).length == 6


def test_the_budget_knows_how_room_grows(monkeypatch):
    from longsum_lib.budget import formulas
    from longsum_lib.models.core.step import generating

    assert generating.FIRST_CAPACITY == formulas.FIRST_CAPACITY
    assert [formulas._slots(tokens) for tokens in (3, 128, 129, 300)] == [3, 128, 128 + 129, 256 + 300]
    decoder = StepDecoder(model_of("led"))
    rows = decoder.open([decoder.document(torch.randn(4, 32))], capacity=2, most=7)
    sizes = []
    for _ in range(9):
        rows.step(torch.tensor([5]))
        sizes.append(rows.capacity)
    assert sizes == [2, 2, 4, 4, 7, 7, 7, 8, 9]
