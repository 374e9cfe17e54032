"""torch's own company: default dtypes, FLOP counters, pickles, traces, function transforms, made-up weights."""

import copy
import pickle

import pytest
import torch
from company import EACH, EACH_FAMILY, EACH_WRITER, START, both, document, logits_of, loss_of, near, ours_of
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

import longsum_lib


@EACH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_default_dtype_changes_nothing(name, dtype):
    given = document(name, 600)
    with torch.no_grad():
        expected, model = logits_of(ours_of(name), given), ours_of(name)
        torch.set_default_dtype(dtype)
        try:
            found = logits_of(model, given)
        finally:
            torch.set_default_dtype(torch.float32)
        assert found.dtype == expected.dtype
        near(found, expected, 1e-5)
        near(logits_of(model, given), expected, 1e-5)


@EACH
@pytest.mark.parametrize("grad", [False, True])
def test_flops_are_counted(name, grad):
    counted = []
    for model in both(name):
        with torch.set_grad_enabled(grad), FlopCounterMode(display=False) as flops:
            logits_of(model, document(name, 128))
        counted.append(flops.get_total_flops())
    assert 0 < counted[-1] <= counted[0]


@EACH
def test_models_are_copied_and_pickled(name):
    cloudpickle = pytest.importorskip("cloudpickle")
    model, given = ours_of(name), document(name)
    with torch.no_grad():
        expected = logits_of(model, given)
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), pickle.loads(cloudpickle.dumps(model))):
            assert torch.equal(logits_of(again, given), expected)


def test_packages_are_pickled_by_name():
    cloudpickle = pytest.importorskip("cloudpickle")
    for package in (longsum_lib, longsum_lib.models, longsum_lib.attention, longsum_lib.evaluation):
        assert pickle.loads(cloudpickle.dumps(package)) is package
    # A task that names the package, as Ray, Dask and Spark send them.
    assert pickle.loads(cloudpickle.dumps(lambda: longsum_lib.__version__))() == longsum_lib.__version__


class Traceable(nn.Module):
    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors):
        return logits_of(self.model, dict(zip(self.names, tensors, strict=True)))


@EACH
def test_models_are_traced_and_the_trace_reads_other_documents(name):
    given = document(name, 64)
    model = Traceable(ours_of(name), list(given)).eval()
    other = {**given, "input_ids": given["input_ids"].flip(1)}
    other["attention_mask"] = torch.ones_like(other["input_ids"])
    with torch.no_grad():
        traced = torch.jit.trace(model, tuple(given.values()), check_trace=False)
        for asked in (given, other):
            near(traced(*asked.values()), model(*asked.values()), 1e-5)


@EACH_WRITER
def test_gradients_by_torch_func_are_those_of_autograd(name):
    model, given = ours_of(name), document(name, 64)
    weights = dict(model.named_parameters())
    given = {**given, "labels": torch.tensor([[5, 6, 7]] * 2)}
    grads = torch.func.grad(lambda w: torch.func.functional_call(model, w, (), given).loss)(weights)
    model(**given).loss.backward()
    for part, weight in weights.items():
        if weight.grad is not None:
            assert torch.equal(grads[part], weight.grad), part


@EACH_WRITER
def test_other_transforms_are_refused_in_one_line(name):
    model, given = ours_of(name), document(name, 64)
    embeds, mask = torch.randn(3, 2, 64, 32), given["attention_mask"]

    def run(x):
        return model(inputs_embeds=x, attention_mask=mask, decoder_input_ids=START).logits

    for call in (
        lambda: torch.func.vmap(run)(embeds),
        lambda: torch.func.jvp(run, (embeds[0],), (embeds[1],)),
        lambda: torch.func.vmap(torch.func.grad(lambda x: run(x).sum()))(embeds),
    ):
        with pytest.raises(NotImplementedError, match=r"torch.func.(vmap|jvp) cannot follow .* put them into a batch"):
            call()


def pruned(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            prune.l1_unstructured(module, "weight", amount=0.3)


def weight_normed(model):
    for module in model.modules():
        if type(module) is nn.Linear and module.weight.shape[0] != 101:  # the head shares its weight
            parametrizations.weight_norm(module)


@EACH_FAMILY
@pytest.mark.parametrize("change", [pruned, weight_normed])
def test_weights_that_are_made_anew_in_every_call_train(name, change):
    losses = []
    for model in both(name):
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
        change(model)
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        losses.append([])
        for _ in range(3):
            optimizer.zero_grad()
            loss = loss_of(model.train(), document(name, 64))
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.detach())
        with torch.no_grad():
            losses[-1].append(logits_of(model.eval(), document(name, 64)).mean())
    near(torch.stack(losses[1]), torch.stack(losses[0]), 2e-3)
