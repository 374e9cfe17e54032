"""The wrapper of the CUDA kernel, with a stand-in that checks what it is given; and on a GPU the kernel itself."""

import pytest
import torch

from longsum_lib.attention.engine import attend as engine
from longsum_lib.attention.engine.kernels import fused_cuda as kernels_cuda
from longsum_lib.attention.engine.kernels.choose import choose_kernel
from longsum_lib.attention.engine.kernels.eager import Eager
from longsum_lib.attention.engine.kernels.fused_cuda import ALIGNMENT, TILE, FusedCUDA, aligned, can_run
from longsum_lib.attention.sliding_window.attention import sliding_window_attention
from longsum_lib.attention.transient_global.attention import transient_global_attention


def check_bias(bias, query, key):
    if bias is None:
        return
    assert bias.dtype == query.dtype
    assert bias.shape == (*query.shape[:3], key.shape[2])
    assert bias.stride(-1) == 1
    assert all(stride % ALIGNMENT == 0 for stride in bias.stride()[:-1])


def forward(query, key, value, bias, with_total, dropout=0.0, causal=False, *, scale):
    assert with_total
    check_bias(bias, query, key)
    out, total = Eager(scale).forward(query, key, value, bias, (0, 0))
    out = out.masked_fill((total == -torch.inf)[..., None], torch.nan)  # a row without keys may hold anything
    pad = -total.shape[-1] % TILE
    return out, torch.nn.functional.pad(total, (0, pad), value=7.0), None, None


def backward(grad, query, key, value, bias, out, total, seed, offset, dropout, wanted, causal=False, *, scale):
    assert total.shape[-1] % TILE == 0
    assert wanted == [True, True, True, False]
    check_bias(bias, query, key)
    total = total[..., : query.shape[2]]
    return (*Eager(scale).backward(grad, query, key, value, out, total, bias, (0, 0), False)[:3], None)


@pytest.fixture(autouse=True)
def nothing_refused(monkeypatch):
    monkeypatch.setattr(kernels_cuda, "_REFUSED", set())


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(kernels_cuda, "_FORWARD", forward)
    monkeypatch.setattr(kernels_cuda, "_BACKWARD", backward)
    monkeypatch.setattr(engine, "choose_kernel", lambda query, scale, dropout: FusedCUDA(scale))


def sliding(tensors, chosen, padding):
    return sliding_window_attention(*tensors, window=7, is_global=chosen, padding=padding)


def transient(tensors, chosen, padding):
    side = [t[:, :, ::4][:, :, : t.shape[2] // 4] for t in tensors[1:]]
    bias = torch.linspace(-1, 1, 15).repeat(2, 1)
    far = torch.linspace(-2, 2, 2 * side[0].shape[2] - 1).repeat(2, 1)
    given = {"side_key": side[0], "side_value": side[1], "local_bias": bias, "side_bias": far}
    return transient_global_attention(*tensors, window=7, block_size=4, padding=padding, **given)


@pytest.mark.parametrize("mechanism", [sliding, transient])
@pytest.mark.parametrize("padded", [False, True])
def test_the_wrapper_gives_what_the_cpu_kernel_gives(request, mechanism, padded):
    tensors = [torch.randn(2, 2, 50, 8, requires_grad=True) for _ in range(3)]
    chosen = torch.zeros(2, 50, dtype=torch.bool)
    chosen[:, [0, 30]] = True
    padding = torch.rand(2, 50) > 0.3 if padded else None
    upstream = torch.randn(2, 2, 50, 8)

    def run():
        out = mechanism(tensors, chosen, padding)
        return out, torch.autograd.grad(out, tensors, upstream)

    wanted, wanted_grads = run()
    request.getfixturevalue("stand_in")
    out, grads = run()
    torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)
    for grad, other in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-5)


def test_scores_are_laid_out_only_where_they_must_be():
    query, key = torch.zeros(3, 2, 16, 8), torch.zeros(3, 2, 24, 8)
    fits = torch.randn(1, 1, 16, 24)
    assert aligned(None, query, key) is None
    assert aligned(fits, query, key).data_ptr() == fits.data_ptr()
    for mask in (torch.randn(39).as_strided((1, 1, 16, 24), (0, 0, 1, 1)), torch.randn(3, 1, 1, 24).double()):
        got = aligned(mask, query, key)
        check_bias(got, query, key)
        torch.testing.assert_close(got, mask.float().expand_as(got))
    odd = torch.zeros(3, 2, 13, 8)
    check_bias(aligned(torch.randn(1, 2, 16, 13), query, odd), query, odd)


@pytest.mark.parametrize("mask", [None, (1, 1, 3, 8), (20, 1, 3, 8)], ids=str)
def test_more_blocks_than_a_grid_has_are_run_in_turn(monkeypatch, mask):
    calls = []

    def counting(query, *rest, **options):
        calls.append(query.shape[0])
        assert query.shape[0] <= 8
        return forward(query, *rest, **options)

    def counting_back(grad, query, *rest, **options):
        assert query.shape[0] <= 8
        return backward(grad, query, *rest, **options)

    monkeypatch.setattr(kernels_cuda, "_FORWARD", counting)
    monkeypatch.setattr(kernels_cuda, "_BACKWARD", counting_back)
    query, key, value = torch.randn(20, 2, 3, 8), torch.randn(20, 2, 8, 8), torch.randn(20, 2, 8, 8)
    mask = None if mask is None else torch.randn(mask)
    kernel, whole = FusedCUDA(0.5), Eager(0.5)
    wanted = whole.forward(query, key, value, mask, (0, 0))
    grads = whole.backward(query, query, key, value, *wanted, mask, (0, 0), False)
    monkeypatch.setattr(kernels_cuda, "MOST_BLOCKS", 8)
    got = kernel.forward(query, key, value, mask, (0, 0))
    assert calls == [8, 8, 4]
    for one, other in zip(
        (*got, *kernel.backward(query, query, key, value, *got, mask, (0, 0), False)[:3]),
        (*wanted, *grads[:3]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def check_operand(tensor):
    """What the kernel asks of queries, keys and values; else it takes a slower path, or none."""
    step = 16 // tensor.element_size()
    assert tensor.stride(-1) == 1
    assert tensor.storage_offset() % step == 0
    assert all(
        stride % step == 0 for stride, size in zip(tensor.stride()[:-1], tensor.shape[:-1], strict=True) if size > 1
    )


@pytest.mark.parametrize("dim", [32, 64, 80, 128])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mechanism", [sliding, transient])
def test_what_the_engine_hands_over_is_aligned(monkeypatch, mechanism, dtype, dim):
    seen = []

    def checking(query, key, value, bias, *rest, **options):
        for tensor in (query, key, value):
            check_operand(tensor)
        assert query.dtype == key.dtype == value.dtype == dtype
        assert query.shape[0] <= kernels_cuda.MOST_BLOCKS
        seen.append(query.shape)
        return forward(query, key, value, bias, *rest, **options)

    monkeypatch.setattr(kernels_cuda, "_FORWARD", checking)
    monkeypatch.setattr(engine, "choose_kernel", lambda query, scale, dropout: FusedCUDA(scale))
    tensors = [torch.randn(2, 2, 77, dim, dtype=dtype) for _ in range(3)]
    chosen = torch.zeros(2, 77, dtype=torch.bool)
    chosen[:, [0, 30]] = True
    mechanism(tensors, chosen, torch.rand(2, 77) > 0.3)
    assert seen


def test_an_odd_stride_is_seen():
    with pytest.raises(AssertionError):
        check_operand(torch.zeros(2, 2, 5, 9)[..., :8])
    with pytest.raises(AssertionError):
        check_operand(torch.zeros(2, 2, 5, 8, dtype=torch.float16)[..., 1:])


def test_plain_products_take_over_where_the_kernel_fails(monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(kernels_cuda, "_FORWARD", fails)
    kernel, tensors = FusedCUDA(0.5), torch.randn(3, 2, 2, 5, 8)
    with pytest.warns(UserWarning, match="no kernel image"):
        out, total = kernel.forward(*tensors, None, (0, 0))
    wanted, wanted_total = Eager(0.5).forward(*tensors, None, (0, 0))
    assert torch.equal(out, wanted)
    assert torch.equal(total, wanted_total)
    kernel.forward(*tensors, None, (0, 0))  # without another warning
    FusedCUDA(0.5).forward(*tensors, None, (0, 0))  # nor in the next layer


def test_plain_products_take_over_in_the_backward_pass(monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(kernels_cuda, "_BACKWARD", fails)
    tensors = torch.randn(3, 2, 2, 5, 8)
    out, total = Eager(0.5).forward(*tensors, None, (0, 0))
    given = (tensors[0], *tensors, out, total, None, (0, 0), False)
    with pytest.warns(UserWarning, match="no kernel image"):
        got = FusedCUDA(0.5).backward(*given)
    for one, other in zip(got[:3], Eager(0.5).backward(*given)[:3], strict=True):
        assert torch.equal(one, other)


def test_out_of_memory_is_not_swallowed(monkeypatch):
    def fails(*arguments, **options):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(kernels_cuda, "_FORWARD", fails)
    with pytest.raises(torch.OutOfMemoryError):
        FusedCUDA(0.5).forward(*torch.randn(3, 2, 2, 5, 8), None, (0, 0))


def test_shapes_of_the_real_operators():
    query, key = torch.empty(3, 2, 20, 8, device="meta"), torch.empty(3, 2, 24, 8, device="meta")
    mask = torch.empty(1, 1, 20, 24, device="meta")
    out, total = FusedCUDA(0.5).forward(query, key, key, mask, (0, 0), may_be_empty=False)
    assert (out.shape, total.shape, total.dtype) == (query.shape, (3, 2, 20), torch.float32)


def test_only_cuda_tensors_that_it_takes():
    assert not can_run(torch.zeros(1, 1, 4, 8))
    assert choose_kernel(torch.zeros(1, 1, 4, 8), 1.0, 0.0).__class__.__name__ == "FusedCPU"


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_on_a_gpu(dtype):
    tensors = [torch.randn(1, 2, 600, 64, requires_grad=True) for _ in range(3)]
    chosen = torch.zeros(1, 600, dtype=torch.bool)
    chosen[:, 0] = True
    wanted = sliding(tensors, chosen, None)
    grads = torch.autograd.grad(wanted.sum(), tensors)
    there = [t.detach().to("cuda", dtype).requires_grad_() for t in tensors]
    assert can_run(there[0])
    out = sliding_window_attention(*there, window=7, is_global=chosen.cuda(), backend="blocked")
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.float16 else {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(out.float().cpu(), wanted, **tolerance)
    for grad, other in zip(torch.autograd.grad(out.float().sum(), there), grads, strict=True):
        torch.testing.assert_close(grad.float().cpu(), other, **tolerance)
