"""The pretended GPU: it computes what the CPU computes, refuses what a GPU refuses, and counts waits and memory."""

import copy
import math
import warnings

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from longsum_lib.models.core.step import recorded
from longsum_lib.models.core.step.recorded import record
from longsum_lib.upstream.torch import without_cudnn
from tools.pretend_gpu import CapturingError, OnCard, RefusedError, pretended_gpu
from tools.pretend_gpu.flex import flex_attention
from tools.pretend_gpu.kernels import check_operands, efficient


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(recorded, "_REFUSED", set())
    with pretended_gpu((9, 0), gib=1.0) as card:
        yield card


def on_card(*shape, **options):
    return torch.randn(*shape, **options).to("cuda")


def test_a_tensor_says_that_it_lies_there(card):
    tensor = torch.zeros(2, 3, device="cuda")
    assert tensor.device == torch.device("cuda", 0)
    assert tensor.is_cuda
    assert not tensor.is_cpu
    assert (tensor + 1).device == tensor.new_ones(2).device == torch.zeros_like(tensor).device == tensor.device
    assert tensor[0].device == tensor.T.device == tensor.device
    assert torch.full((2,), tensor.sum(), device="cuda").device == tensor.device
    assert tensor.cpu().device.type == tensor.to("cpu", torch.float64).device.type == "cpu"
    assert tensor.to("meta").device.type == "meta"
    assert tensor.to(torch.bfloat16).dtype == torch.bfloat16
    assert torch.zeros(2, device="cpu").device.type == "cpu"


def test_modules_and_gradients(card):
    model = torch.nn.Sequential(torch.nn.Embedding(7, 5), torch.nn.Linear(5, 7, bias=False))
    model[1].weight = model[0].weight  # tied, and so it stays
    ids = torch.tensor([[1, 4, 4]])
    model(ids).logsumexp(-1).sum().backward()
    wanted = model[0].weight.grad.clone()
    model.zero_grad(set_to_none=True)
    model.to("cuda")
    assert model[1].weight is model[0].weight
    assert model[0].weight.device.type == "cuda"
    model(ids.to("cuda")).logsumexp(-1).sum().backward()
    assert model[0].weight.grad.is_cuda
    torch.testing.assert_close(model[0].weight.grad.cpu(), wanted)


def test_a_copied_module_stays_there(card):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)).to("cuda")
    model[1].weight = model[0].weight
    other = copy.deepcopy(model)
    assert all(isinstance(p, torch.nn.Parameter) and p.is_cuda for p in other.parameters())
    assert other[1].weight is other[0].weight is not model[0].weight
    with torch.no_grad():
        other[0].weight.zero_()
    assert float(model[0].weight.detach().abs().sum()) > 0


def test_a_gradient_crosses_from_card_to_cpu(card):
    tensor = torch.randn(3, requires_grad=True)
    (tensor.to("cuda") * 2).cpu().sum().backward()
    assert torch.equal(tensor.grad, torch.full((3,), 2.0))


def test_what_is_changed_in_place_stays_itself(card):
    tensor = torch.zeros(4, device="cuda")
    assert tensor.add_(1) is tensor
    tensor[1:3].mul_(3)
    tensor[0] = 7
    torch.logaddexp(tensor, tensor, out=tensor)
    assert torch.equal(tensor.cpu(), torch.tensor([7.0, 3.0, 3.0, 1.0]) + math.log(2))


def test_two_places_in_one_operation_are_refused(card):
    with pytest.raises(RuntimeError, match="same device"):
        torch.zeros(3, device="cuda") + torch.zeros(3)
    assert (torch.zeros(3, device="cuda") + torch.tensor(1.0)).is_cuda  # one number may come from anywhere
    with pytest.raises(TypeError, match="numpy"):
        torch.zeros(3, device="cuda").numpy()


WAITS = {
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] > 0),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "mask_put": lambda x: x.index_put_((x > 0,), x[:1].expand(int((x > 0).sum().numbers))),
    "list": lambda x: x[[0, 2]],
    "cpu_index": lambda x: x[torch.tensor([0, 2])],
    "repeats": lambda x: x.repeat_interleave(torch.ones(4, dtype=torch.long, device="cuda")),
    "equal": lambda x: torch.equal(x, x),
    "tensor": lambda x: torch.tensor([1.0], device="cuda"),
    "copy": lambda x: x.copy_(torch.zeros(4)),
    "synchronize": lambda x: torch.cuda.synchronize(),
}
NO_WAITS = {
    "products": lambda x: (x @ x).softmax(0),
    "arange": lambda x: torch.arange(5, device="cuda") + 1,
    "slices": lambda x: x[1:3].flip(0),
    "mask_filled": lambda x: x.masked_fill(x > 0, 0.0),
    "mask_assigned": lambda x: x.__setitem__(x > 0, 0.0),
    "index": lambda x: x[torch.arange(2, device="cuda")],
    "known_repeats": lambda x: x.repeat_interleave(torch.ones(4, dtype=torch.long, device="cuda"), output_size=4),
    "copy": lambda x: x.copy_(x.flip(0)),
    "topk": lambda x: x.topk(2),
}


@pytest.mark.parametrize("name", WAITS)
def test_waits_are_counted(card, name):
    tensor = on_card(4)
    card.waits.clear()
    WAITS[name](tensor)
    assert card.waits
    assert "test_pretended_gpu.py" in card.waits[0].where


@pytest.mark.parametrize("name", NO_WAITS)
def test_what_waits_for_nothing_is_not(card, name):
    tensor = on_card(4)
    card.waits.clear()
    NO_WAITS[name](tensor)
    assert card.waits == []


def test_a_wait_can_be_an_error(card):
    tensor = on_card(4)
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchronizing CUDA operation"):
        tensor.sum().item()


def test_memory_is_what_lives(card):
    assert torch.cuda.memory_allocated() == 0
    tensor = torch.zeros(1000, device="cuda")
    assert torch.cuda.memory_allocated() == 4096  # in steps of 512
    view = tensor[10:].view(-1, 10)
    assert torch.cuda.memory_allocated() == 4096
    del tensor
    assert torch.cuda.memory_allocated() == 4096
    other = view + 1
    assert torch.cuda.max_memory_allocated() == 8192
    del view, other
    assert torch.cuda.memory_allocated() == 0
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == 0
    free, total = torch.cuda.mem_get_info()
    assert free == total == 2**30


def test_a_graph_repeats_kernels_on_the_same_places(card):
    place, total = torch.zeros(3, device="cuda"), torch.zeros(3, device="cuda")
    number = 1.0

    def step():
        total.add_(place * number)
        return total.clone()[torch.arange(2, device="cuda")]

    replay = record(step, place.device)  # runs once before it is recorded, and is not run by being recorded
    total.zero_()
    place.fill_(2.0)
    number = 100.0  # a number of the processor is part of the recording
    first, second = replay(), replay()
    assert first.cpu().tolist() == [2.0, 2.0]
    assert second.cpu().tolist() == [4.0, 4.0]
    assert card.replays == 2


def test_what_waits_cannot_be_recorded(card):
    tensor = on_card(3)
    with pytest.raises(RuntimeError, match="previous error during capture") as caught:
        fail_while_recording(tensor)
    assert isinstance(caught.value.__context__, CapturingError)
    with pytest.raises(RuntimeError, match="non-default stream"):
        torch.cuda.CUDAGraph().capture_begin()
    with pytest.warns(UserWarning, match="could not be recorded"):
        run = record(lambda: tensor * float(tensor.sum()), tensor.device)
    assert run().is_cuda
    assert torch.cuda.current_stream() is not card.stream is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and it is not tried again
        assert record(lambda: tensor * float(tensor.sum()), tensor.device)().is_cuda


def fail_while_recording(tensor):
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        tensor.sum().item()


def test_afterwards_there_is_no_gpu():
    before = torch.cuda.is_available()
    with pretended_gpu():
        assert torch.cuda.is_available()
    assert torch.cuda.is_available() == before
    assert not isinstance(torch.zeros(2), OnCard)
    assert torch.nn.Linear(2, 2).double().weight.dtype == torch.float64


def operands(dtype=torch.float16, rows=16, keys=24, dim=32):
    query = torch.randn(2, 3, rows, dim).to(dtype)
    key, value = torch.randn(2, 2, 3, keys, dim).to(dtype)
    return query, key, value


def test_the_memory_efficient_kernel_of_plain_products():
    query, key, value = operands(torch.float32)
    bias = torch.randn(2, 3, 16, 24)
    out, total, *_ = efficient(query, key, value, bias, True)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, bias)
    torch.testing.assert_close(out, wanted)
    assert total.shape == (2, 3, 32)  # whole tiles


ODD = {
    "stride": lambda q, k, v: (q, torch.zeros(2, 3, 24, 33, dtype=q.dtype)[..., :32], v, None),
    "begins": lambda q, k, v: (q, k, torch.zeros(2, 3, 24, 40, dtype=q.dtype)[..., 4:36], None),
    "rows of": lambda q, k, v: (q[..., :12].contiguous(), k[..., :12].contiguous(), v[..., :12].contiguous(), None),
    "another format": lambda q, k, v: (q, k.float(), v, None),
    "bias has another format": lambda q, k, v: (q, k, v, torch.zeros(2, 3, 16, 24)),
    "bias has shape": lambda q, k, v: (q, k, v, torch.zeros(1, 1, 16, 24, dtype=q.dtype)),
    "bias has strides": lambda q, k, v: (q, k, v, torch.zeros(2, 3, 16, 25, dtype=q.dtype)[..., :24]),
    "more than a grid": lambda q, k, v: (*(t[:1].expand(70_000, -1, -1, -1) for t in (q, k, v)), None),
}


@pytest.mark.parametrize("name", ODD)
def test_what_the_memory_efficient_kernel_refuses(name):
    check_operands(*operands(), None)
    with pytest.raises(RefusedError, match=name):
        check_operands(*ODD[name](*operands()))


def test_flex_attention_looks_at_listed_blocks_only():
    query, key, value = torch.randn(3, 1, 2, 300, 16)

    def near(b, h, i, j):
        return (i - j).abs() <= 40

    mask = create_block_mask(near, None, None, 300, 300, device="cpu")
    place = torch.arange(300)
    sees = (place[:, None] - place).abs() <= 40
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, sees)
    torch.testing.assert_close(flex_attention(query, key, value, block_mask=mask), wanted)
    mask.kv_num_blocks.zero_()
    assert torch.equal(flex_attention(query, key, value, block_mask=mask), torch.zeros_like(query))


def test_attention_by_cudnn_is_counted(card):
    tensor = on_card(1, 1, 4, 8)
    torch.nn.functional.scaled_dot_product_attention(tensor, tensor, tensor)
    assert card.kernels["cudnn attention"] == 1
    with without_cudnn(tensor.device):
        torch.nn.functional.scaled_dot_product_attention(tensor, tensor, tensor)
    assert card.kernels["cudnn attention"] == 1
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.CUDNN_ATTENTION), without_cudnn(tensor.device):
        assert torch.backends.cuda.cudnn_sdp_enabled()  # where a caller allows nothing else
    assert torch.backends.cuda.cudnn_sdp_enabled()
