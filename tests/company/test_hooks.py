"""Hooks: what they are shown stays as it was, what they put in counts, and they fire as on transformers' modules."""

import pytest
import torch
from company import EACH, EACH_FAMILY, both, document, encoder_of, first, layers_of, loss_of, near, ours_of, states_of
from torch import nn

from longsum_lib.models.core import streaming
from longsum_lib.models.core.looking import Freedom, freedom_of

QUIET = pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])


def kept_by_hooks(model: nn.Module, given: dict) -> dict[str, list[torch.Tensor]]:
    """What forward hooks on every module of the encoder see, in the order of the calls.

    Copies: the reference's LED divides its queries in place after the hook.
    """
    kept: dict[str, list[torch.Tensor]] = {}

    def keep(name):
        return lambda module, inputs, output: kept.setdefault(name, []).append(first(output).clone())

    named = [(name, m) for name, m in encoder_of(model).named_modules() if name]
    hooks = [module.register_forward_hook(keep(name)) for name, module in named]
    try:
        states_of(model, given)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def alike(got: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor | None:
    """The reference's tensor as ours lies; ``None`` where it works on padded blocks or only on other shapes."""
    for turned in (wanted, wanted.transpose(0, 1) if wanted.dim() == 3 else wanted, wanted[None]):
        if turned.shape == got.shape:
            return turned
    return None


@EACH_FAMILY
@pytest.mark.parametrize(
    ("mode", "length"), [(torch.no_grad, 80), (torch.inference_mode, 640), (torch.enable_grad, 80)]
)
def test_hooks_see_what_they_see_on_the_references_modules(name, mode, length, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 256)
    reference, ours = both(name)
    given = document(name, length, "none")
    with mode():
        wanted, got = kept_by_hooks(reference, given), kept_by_hooks(ours, given)
    shared = {part for part in wanted if part in dict(encoder_of(ours).named_modules())}
    assert {part: len(wanted[part]) for part in shared} == {part: len(got.get(part, [])) for part in shared}
    compared = 0
    for part in shared:
        for mine, theirs in zip(got[part], wanted[part], strict=True):
            turned = alike(mine, theirs)
            if turned is not None:
                near(mine, turned)
                compared += 1
    assert compared >= 0.75 * sum(len(wanted[part]) for part in shared)


@EACH
@QUIET
def test_what_hooks_keep_is_not_overwritten(name, mode, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_PER_STEP", 256)
    model, given, copies, kept = ours_of(name), document(name, 600), [], []

    def keep(module, inputs, output=None):
        tensor = first(inputs if output is None else output)
        kept.append(tensor)
        copies.append(tensor.clone())

    parts = [*layers_of(model), encoder_of(model).get_input_embeddings()]
    for part in parts:
        part.register_forward_hook(keep)
        part.register_forward_pre_hook(keep)
    with mode():
        states_of(model, given)
    assert len(kept) == 2 * len(parts)
    for tensor, copy in zip(kept, copies, strict=True):
        assert torch.equal(tensor, copy)


@EACH
@QUIET
def test_a_stored_tensor_that_a_hook_puts_in_counts_and_stays(name, mode):
    given, results = document(name, 640, "none"), []
    for model in both(name):
        model.requires_grad_(False)
        with torch.no_grad():
            shape = states_of(model, given).shape
            hidden = encoder_of(model)(**given, output_hidden_states=True).hidden_states[1]
        generator = torch.Generator().manual_seed(5)
        stored = torch.randn(hidden.shape if hidden.dim() == 3 else shape, generator=generator)
        before = stored.clone()

        def put(module, inputs, output, stored=stored):
            return (stored, *output[1:]) if isinstance(output, tuple) else stored

        layers_of(model)[0].register_forward_hook(put)
        with mode():
            once, twice = states_of(model, given), states_of(model, given)
        assert torch.equal(once, twice)
        assert torch.equal(stored, before)
        results.append(once)
    near(results[-1], results[0])


@EACH
def test_global_hooks_and_a_replaced_forward_count_as_looking(name):
    model, given = ours_of(name), document(name, 600)
    encoder, kept = encoder_of(model), []
    layer = layers_of(model)[0]

    def keep(module, inputs, output):
        if module is layer:
            kept.append((first(output), first(output).clone()))

    with torch.no_grad():
        assert freedom_of(encoder, keeps_states=False) is Freedom.IN_PLACE
        assert freedom_of(encoder, keeps_states=True) is Freedom.CHUNKS
        handle = nn.modules.module.register_module_forward_hook(keep)
        try:
            states_of(model, given)
            assert freedom_of(encoder, keeps_states=False) is Freedom.WHOLE
        finally:
            handle.remove()
        assert torch.equal(*kept[0])
        forward = layer.forward
        layer.forward = lambda *args: forward(*args)
        assert freedom_of(encoder, keeps_states=False) is Freedom.WHOLE
        del layer.forward
        assert freedom_of(encoder, keeps_states=False) is Freedom.IN_PLACE


@EACH_FAMILY
def test_backward_hooks_are_given_the_references_gradients(name):
    seen = []

    def keep(grads, part):
        return lambda module, inputs, outputs: grads.__setitem__(part, first(outputs))

    for model in both(name):
        seen.append({})
        for number, layer in enumerate(layers_of(model)):
            layer.register_full_backward_hook(keep(seen[-1], f"layer {number}"))
            attention = getattr(layer, "self_attn", None) or layer.layer[0]
            attention.register_full_backward_hook(keep(seen[-1], f"attention {number}"))
        loss_of(model.train(), document(name, 80, "none")).backward()
    wanted, got = seen
    assert wanted.keys() == got.keys()
    for part, gradient in wanted.items():
        if got[part].shape == gradient.shape:  # the reference fills staggered blocks of PEGASUS-X up
            near(got[part] / gradient.abs().max(), gradient / gradient.abs().max(), 1e-3)


def test_the_progress_of_a_summary_is_no_look():
    import longsum_lib

    model, tokenizer = (load("led-tiny") for load in (longsum_lib.load, longsum_lib.load_tokenizer))
    found = []

    def note(progress):
        with torch.no_grad():  # written tokens are reported between the steps, in the caller's own mode
            found.append((progress.stage, freedom_of(model.get_encoder(), keeps_states=False)))

    text = longsum_lib.make_document(seed=0, length=256).text
    longsum_lib.summarize(text, model, tokenizer=tokenizer, max_new_tokens=2, progress=note)
    assert ("reading", Freedom.IN_PLACE) in found
    assert {freedom for _, freedom in found} == {Freedom.IN_PLACE}
