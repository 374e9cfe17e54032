"""``attn_implementation="longsum"`` beside ``"eager"``: logits, gradients and ids of transformers' own classes."""

import functools
import importlib
from collections.abc import Callable

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel, masking_utils
from window_models import TooLarge, folders, model_classes, tiny_model

import longsum_lib
from longsum_lib.errors import UnsupportedAttention
from longsum_lib.interface.masks import longsum_mask
from longsum_lib.interface.reading import read_sight
from longsum_lib.interface.sight import SightMask
from longsum_lib.upstream.transformers import checkpointing_on, use_attention

longsum_lib.register_attention()

LENGTH, WRITTEN = 41, 11

# The models that a summarizer meets, and those beside them: these may neither be skipped nor refused.
PERFECT = {
    "modernbert": lambda: tiny_model(transformers.ModernBertForMaskedLM),
    "embeddinggemma": lambda: tiny_model(transformers.Gemma3TextModel, use_bidirectional_attention=True),
    "gemma3": lambda: tiny_model(transformers.Gemma3ForCausalLM),
    "t5gemma": lambda: tiny_model(transformers.T5GemmaForConditionalGeneration),
    "t5gemma2": lambda: tiny_model(transformers.T5Gemma2ForConditionalGeneration),
    "mistral": lambda: tiny_model(transformers.MistralForCausalLM),
    "qwen3": lambda: tiny_model(transformers.Qwen3ForCausalLM),
    "gpt_oss": lambda: tiny_model(transformers.GptOssForCausalLM),
    "gemma2": lambda: tiny_model(transformers.Gemma2ForCausalLM),
    "olmo3": lambda: tiny_model(transformers.Olmo3ForCausalLM),
}

# What is refused, and why, by the class's name.
REFUSED = {
    "DeepseekV4ForCausalLM": "joins its mask with one of another kind",
    "DogeForCausalLM": "computes with its mask",
    "InklingForCausalLM": "learns a bias for every pair",
    "Inkling2ForCausalLM": "learns a bias for every pair",
    "Inkling2LoopForCausalLM": "learns a bias for every pair",
}

# What cannot be told from the attention: recurrent states that run over the padding in front of a text.
READS_PADDING = {"RecurrentGemmaForCausalLM"}


@functools.cache
def cached(name: str) -> PreTrainedModel:
    return PERFECT[name]()


def inputs_of(model: PreTrainedModel, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 90, mask.shape, generator=torch.Generator().manual_seed(1))
    inputs = {"input_ids": ids, "attention_mask": mask}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :WRITTEN]
    return inputs


def padded(kind: str, length: int = LENGTH) -> torch.Tensor:
    mask = torch.ones(2, length, dtype=torch.int64)
    if kind == "right":
        mask[1, length - 11 :] = 0
    elif kind == "left":
        mask[1, :9] = 0
    elif kind == "gap":
        mask[1, 12:15], mask[0, :3] = 0, 0
    return mask


def states(model: PreTrainedModel, implementation: str, inputs: dict[str, torch.Tensor], **options) -> torch.Tensor:
    use_attention(model, implementation)
    out = model(**inputs, **options)[0]
    real = inputs["attention_mask"].bool() if out.shape[1] == inputs["attention_mask"].shape[1] else ...
    return out[real]


def agree(model: PreTrainedModel, mask: torch.Tensor, gradients: bool = True) -> None:
    """Logits and, at the scale of the largest, gradients of both implementations are equal within 1e-4."""
    inputs, found = inputs_of(model, mask), {}
    for implementation in ("eager", "longsum"):
        model.zero_grad()
        with torch.set_grad_enabled(gradients):
            out = states(model, implementation, inputs)
            if gradients:
                out.square().mean().backward()
        grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found[implementation] = out.detach(), grads
    model.zero_grad()
    (expected, wanted), (got, grads) = found["eager"], found["longsum"]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert wanted.keys() == grads.keys()
    scale = max((float(grad.abs().max()) for grad in wanted.values()), default=0.0)
    for name, grad in wanted.items():
        torch.testing.assert_close(grads[name], grad, rtol=0, atol=1e-3 * scale, msg=lambda m, n=name: f"{n}: {m}")


def written(model: PreTrainedModel, implementation: str, mask: torch.Tensor, **options) -> torch.Tensor:
    use_attention(model, implementation)
    inputs = {name: inputs_of(model, mask)[name] for name in ("input_ids", "attention_mask")}
    return model.generate(**inputs, do_sample=False, max_new_tokens=14, min_new_tokens=14, **options)


@pytest.mark.parametrize("name", PERFECT)
@pytest.mark.parametrize("kind", ["none", "right", "left", "gap"])
def test_logits_and_gradients_are_those_of_eager(name, kind):
    agree(cached(name), padded(kind))


@pytest.mark.parametrize("name", [name for name in PERFECT if name not in ("modernbert", "embeddinggemma")])
@pytest.mark.parametrize(
    "options",
    [{}, {"cache_implementation": "static"}, {"num_beams": 2}, {"use_cache": False}, {"prefill_chunk_size": 7}],
    ids=["dynamic", "static", "beams", "no cache", "chunks"],
)
def test_greedy_ids_are_those_of_eager(name, options):
    model = cached(name)
    if "prefill_chunk_size" in options and model.config.is_encoder_decoder:
        pytest.skip("only decoders read a prompt in chunks")
    mask = padded("left" if "prefill_chunk_size" not in options else "none")
    assert torch.equal(written(model, "longsum", mask, **options), written(model, "eager", mask, **options))


@functools.cache
def built(kind: type[PreTrainedModel]) -> PreTrainedModel | str:
    """A tiny model of a class, or why there is none."""
    try:
        return tiny_model(kind)
    except TooLarge as reason:
        return f"its config has no sizes to make it tiny: {reason}"
    except Exception as error:  # its config's own rules, which differ from class to class
        return f"no tiny config: {type(error).__name__}: {str(error)[:200]}"


def classes() -> list[type[PreTrainedModel]]:
    return [kind for folder in folders() for kind in model_classes(folder)]


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_whatever_class_names_windows_gives_what_eager_gives_or_is_refused(kind):
    model = built(kind)
    if isinstance(model, str):
        pytest.skip(model)
    mask = padded("none" if kind.__name__ in READS_PADDING else "left", 23)
    try:
        states(model, "eager", inputs_of(model, mask))
    except Exception as error:  # it wants inputs of its own (sounds, images)
        pytest.skip(f"eager does not run on ids alone: {type(error).__name__}: {str(error)[:200]}")
    try:
        agree(model, mask)
    except UnsupportedAttention as reason:
        if kind.__name__ not in REFUSED or REFUSED[kind.__name__] not in str(reason):
            raise
        return
    if not model.can_generate():
        return
    try:
        expected = written(model, "eager", mask)
    except Exception as error:
        pytest.skip(f"eager agrees, but cannot generate: {type(error).__name__}: {str(error)[:200]}")
    assert torch.equal(written(model, "longsum", mask), expected)


def test_many_classes_were_tried():
    """The test above may skip what it cannot build; it must not skip its way to green."""
    assert sum(not isinstance(built(kind), str) for kind in classes()) >= 30


class Largest(TorchDispatchMode):
    """Remembers the most elements that a tensor with memory had."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and not isinstance(tensor, SightMask):
                self.elements = max(self.elements, tensor.untyped_storage().size() // tensor.element_size())
        return out


@pytest.mark.parametrize("name", PERFECT)
def test_no_tensor_has_an_element_for_every_pair(name):
    """Forward and backward at 2,048 tokens; eager makes the matrix every time, which shows that it is counted."""
    length = 2048
    model = cached(name)
    inputs = {key: value[:1] for key, value in inputs_of(model, padded("none", length)).items()}
    inputs["attention_mask"][0, -5:] = 0
    with Largest() as largest:
        states(model, "longsum", inputs).square().mean().backward()
    assert largest.elements < length**2
    with Largest() as largest, torch.no_grad():
        states(model, "eager", inputs)
    assert largest.elements >= length**2


@pytest.mark.parametrize("name", ["gemma3", "gemma2", "mistral", "qwen3", "olmo3"])
def test_packed_documents_are_as_if_alone(name):
    model = cached(name)
    ids = torch.randint(3, 90, (1, LENGTH))
    places = torch.cat([torch.arange(17), torch.arange(LENGTH - 17)])[None]
    options = {"use_cache": False}
    with torch.no_grad():
        use_attention(model, "eager")
        expected = model(input_ids=ids, position_ids=places, **options)[0]
        use_attention(model, "longsum")
        packed = model(input_ids=ids, position_ids=places, **options)[0]
        alone = [model(input_ids=part, **options)[0] for part in (ids[:, :17], ids[:, 17:])]
    torch.testing.assert_close(packed, torch.cat(alone, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(packed, expected, rtol=1e-4, atol=1e-4)


# torch's tracer in transformers' own masks, which are asked by vmap there.
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["t5gemma2", "gpt_oss"])
def test_a_compiled_model_gives_the_same(name):
    model = cached(name)
    inputs = inputs_of(model, padded("left"))
    with torch.no_grad():
        expected = states(model, "eager", inputs)
        use_attention(model, "longsum")
        out = torch.compile(model, backend="eager")(**inputs)[0]
    real = inputs["attention_mask"].bool() if out.shape[1] == LENGTH else ...
    torch.testing.assert_close(out[real], expected, rtol=1e-4, atol=1e-4)
    torch._dynamo.reset()


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(reentrant):
    model = PERFECT["gemma3"]()
    use_attention(model, "longsum")
    inputs, found = inputs_of(model, padded("left")), []
    for checkpointing in (False, True):
        if checkpointing:
            checkpointing_on(model, {"use_reentrant": reentrant})
            model.train()
        model.zero_grad()
        model(**inputs, use_cache=False)[0].square().mean().backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(recomputed, plain)


def test_half_precision_is_as_near_as_sdpa():
    model = PERFECT["gemma3"]().bfloat16()
    inputs = inputs_of(model, padded("left"))
    with torch.no_grad():
        exact = states(PERFECT["gemma3"](), "eager", inputs)
        ours, theirs = (states(model, name, inputs).float() for name in ("longsum", "sdpa"))
    assert (ours - exact).norm() <= 1.5 * (theirs - exact).norm()


def test_dropout_drops_weights_and_follows_the_seed():
    model = tiny_model(transformers.Gemma3ForCausalLM, attention_dropout=0.5).train()
    inputs = inputs_of(model, padded("none"))
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(states(model, "longsum", inputs).detach())
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_a_mask_of_all_pairs_that_the_caller_makes_is_obeyed():
    model = cached("gemma3")
    inputs = inputs_of(model, padded("none"))
    inputs["attention_mask"] = torch.ones(2, 1, LENGTH, LENGTH).tril(-0).bool() & (
        torch.rand(2, 1, LENGTH, LENGTH) > 0.3
    )
    inputs["attention_mask"] |= torch.eye(LENGTH, dtype=torch.bool)
    with torch.no_grad():
        use_attention(model, "sdpa")
        expected = model(**inputs)[0]
        use_attention(model, "longsum")
        torch.testing.assert_close(model(**inputs)[0], expected, rtol=1e-4, atol=1e-4)


def test_weights_are_refused_with_a_reason():
    model = cached("modernbert")
    with pytest.raises(UnsupportedAttention, match="use 'eager'"):
        states(model, "longsum", inputs_of(model, padded("none")), output_attentions=True)


def test_unknown_keywords_are_refused_by_name():
    from longsum_lib.interface.attend import longsum_attention

    x = torch.randn(1, 2, 5, 8)
    with pytest.raises(UnsupportedAttention, match="it passes 'novelty'"):
        longsum_attention(torch.nn.Module(), x, x, x, None, novelty=1)


def sight_of(function: Callable, queries: int = 60, keys: int = 60, query_offset: int = 0, key_offset: int = 0):
    return read_sight(function, queries, keys, query_offset, key_offset, None)


@settings(max_examples=60)
@given(
    queries=st.integers(2, 70),
    past=st.integers(0, 50),
    behind=st.integers(0, 20),
    cut=st.integers(0, 30),
    window=st.integers(1, 90),
    causal=st.booleans(),
)
def test_a_read_band_is_the_functions_matrix(queries, past, behind, cut, window, causal):
    make = masking_utils.sliding_window_causal_mask_function
    function = make(window) if causal else masking_utils.sliding_window_bidirectional_mask_function(window)
    cut = min(cut, past)
    keys = past + queries + behind - cut
    sight = read_sight(function, queries, keys, past, cut, None)
    query, key = past + torch.arange(queries)[:, None], cut + torch.arange(keys)[None, :]
    expected = function(torch.tensor(0), torch.tensor(0), query, key).expand(queries, keys)
    places = torch.arange(queries)[:, None] + sight.offset
    band = (torch.arange(keys) >= places - sight.left) & (torch.arange(keys) <= places + sight.right)
    assert torch.equal(band, expected)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda b, h, i, j: (i - j) % 2 == 0, "no band of neighbouring keys"),
        (lambda b, h, i, j: j < i, "do not see their own place"),
        (lambda b, h, i, j: (i - j).abs() <= 3 + i // 16, "no band|not all see the same band"),
        (lambda b, h, i, j: i // 8 == j // 8, "no band|not all see the same band"),
        (masking_utils.blockwise_overlay(torch.zeros(1, 60, dtype=torch.int64)), "holds tensors"),
    ],
)
def test_what_is_no_band_is_refused_with_its_reason(function, reason):
    with pytest.raises(UnsupportedAttention, match=reason):
        sight_of(function)


def test_blocks_of_an_image_are_refused_and_their_absence_is_not():
    blocks = torch.full((1, 60), -1)
    function = masking_utils.or_masks(masking_utils.causal_mask_function, masking_utils.blockwise_overlay(blocks))
    assert sight_of(function).right == 0
    blocks[0, 4:9] = 0
    with pytest.raises(UnsupportedAttention, match="see each other in both directions"):
        sight_of(function)


def test_chunks_are_documents():
    function = masking_utils.chunked_causal_mask_function(16, torch.tensor([0, 3]))
    sight = sight_of(function)
    assert sight.documents == (((0, 16), (16, 32), (32, 48), (48, 60)), ((0, 3), (3, 19), (19, 35), (35, 51), (51, 60)))
    assert sight.right == 0


def test_the_mask_has_a_shape_and_no_memory():
    mask = longsum_mask(2, 5000, 5000)
    assert isinstance(mask, SightMask)
    assert mask.shape == (2, 1, 5000, 5000)
    assert torch.cat([mask, mask], dim=-1).shape == (2, 1, 5000, 10000)
    assert mask[:1].shape == (1, 1, 5000, 5000)
    assert mask.to("cpu").sights == mask.sights
    with pytest.raises(UnsupportedAttention, match="computes with its mask"):
        mask & mask


def test_registering_needs_no_torch_until_it_is_called():
    assert "register_attention" in dir(longsum_lib)
    assert importlib.import_module("longsum_lib.interface").register_attention() == "longsum"
    assert "longsum" in transformers.AttentionInterface().valid_keys()
