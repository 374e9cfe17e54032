"""Every mechanism on a GPU, forward and backward, against plain products of the CPU in double precision."""

import functools

import pytest
import torch

from longsum_lib.attention import (
    big_bird_attention,
    block_local_attention,
    lsg_attention,
    sliding_window_attention,
    transient_global_attention,
)
from longsum_lib.attention.engine.kernels import fused_cuda
from longsum_lib.attention.engine.kernels.eager import Eager

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")]

# Relative to the largest value: rounding of the format, some steps of it.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
LENGTHS = (1, 77, 600, 2049) if torch.cuda.is_available() else (1, 77, 300)
DIM = 64


def sliding(tensors, is_global, padding, backend):
    return sliding_window_attention(*tensors, window=33, is_global=is_global, padding=padding, backend=backend)


def staggered(tensors, is_global, padding, backend):
    side = [t.new_ones(*t.shape[:2], 3, DIM) + t[:, :, :1] for t in tensors]
    return torch.cat(block_local_attention(*tensors, *side, block_size=32, padding=padding, backend=backend), 2)


def transient(tensors, is_global, padding, backend):
    query, count = tensors[0], tensors[0].shape[2] // 16
    near = torch.linspace(-1, 1, 2 * 33 + 1, device=query.device, dtype=query.dtype).repeat(query.shape[1], 1)
    given = {"window": 33, "block_size": 16, "local_bias": near, "padding": padding, "backend": backend}
    if count:
        side = [t[:, :, : count * 16 : 16].contiguous() for t in tensors[1:]]
        far = torch.linspace(-2, 2, 2 * count - 1, device=query.device, dtype=query.dtype).repeat(query.shape[1], 1)
        given |= {"side_key": side[0], "side_value": side[1], "side_bias": far}
    return transient_global_attention(*tensors, **given)


def sparse(tensors, is_global, padding, backend):
    with_global = [torch.cat([1 + t[:, :, :1], t], 2) for t in tensors]  # one token before the text
    return lsg_attention(
        *with_global,
        block_size=32,
        sparse_block_size=32,
        sparsity_factor=4,
        sparsity_type="pooling",
        num_global_tokens=1,
        padding=padding,
        backend=backend,
    )


def big_bird(tensors, is_global, padding, backend):
    return big_bird_attention(*tensors, block_size=16, num_random_blocks=2, padding=padding, backend=backend)


MECHANISMS = {f.__name__: f for f in (sliding, staggered, transient, sparse, big_bird)}


def run(mechanism, tensors, is_global, padding, backend, upstream):
    tensors = [t.detach().requires_grad_() for t in tensors]
    out = MECHANISMS[mechanism](tensors, is_global, padding, backend)
    return (out, *torch.autograd.grad(out, tensors, upstream.to(out)))


def agree(got, wanted, dtype):
    for one, other in zip(got, wanted, strict=True):
        one, other = one.detach().double().cpu(), other.detach().double()
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other, rtol=0, atol=10 * TOLERANCE[dtype] * max(1.0, float(other.abs().max())))


def drawn(length, dtype):
    torch.manual_seed(length)
    tensors = [torch.randn(2, 3, length, DIM).bfloat16().to(dtype) for _ in range(3)]  # the same in all formats
    is_global = torch.zeros(2, length, dtype=torch.bool)
    is_global[:, 0] = True
    padding = torch.ones(2, length, dtype=torch.bool)
    padding[1, max(1, length - length // 3) :] = False
    return tensors, is_global, padding


@functools.cache
def oracle(mechanism, length, padded):
    """The gradient given from above, and what plain products in double precision make of it; once for all formats."""
    tensors, is_global, padding = drawn(length, torch.float64)
    padding = padding if padded else None
    upstream = torch.randn(MECHANISMS[mechanism](tensors, is_global, padding, "blocked").shape)
    return upstream, run(mechanism, tensors, is_global, padding, "reference", upstream)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.card((9, 0))
def test_blocks_equal_plain_products(device, mechanism, dtype, length, padded):
    tensors, is_global, padding = drawn(length, dtype)
    upstream, wanted = oracle(mechanism, length, padded)
    there = [t.to(device) for t in (*tensors, is_global)]
    padding = padding.to(device) if padded else None
    got = run(mechanism, there[:3], there[3], padding, "blocked", upstream.to(device))
    agree(got, wanted, dtype)
    assert not fused_cuda._REFUSED


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.card((9, 0))
def test_flex_attention_equals_plain_products(device, dtype, padded):
    if dtype == torch.bfloat16 and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no bf16 on this card")
    tensors, is_global, padding = drawn(600, dtype)
    padding = padding if padded else None
    upstream = torch.randn(tensors[0].shape)
    wanted = run("sliding", [t.double() for t in tensors], is_global, padding, "reference", upstream)
    there = [t.to(device) for t in (*tensors, is_global)]
    got = run("sliding", there[:3], there[3], padding.to(device) if padded else None, "flex", upstream.to(device))
    agree(got, wanted, dtype)


@pytest.mark.parametrize("dim", [32, 64, 80, 128])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.card((9, 0))
def test_the_fused_kernel_takes_our_layouts(device, dtype, dim):
    if dtype == torch.bfloat16 and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no bf16 on this card")
    blocks = torch.randn(5, 2, 64, dim, device=device, dtype=dtype)
    keys = torch.randn(5, 2, 192, dim, device=device, dtype=dtype)
    mask = torch.zeros(1, 1, 64, 192, device=device).masked_fill(torch.rand(64, 192, device=device) < 0.3, -torch.inf)
    assert fused_cuda.can_run(blocks)
    kernel, plain = fused_cuda.FusedCUDA(dim**-0.5), Eager(dim**-0.5)
    got, wanted = kernel.forward(blocks, keys, keys, mask, (0, 0)), plain.forward(blocks, keys, keys, mask, (0, 0))
    assert not fused_cuda._REFUSED
    agree(got, [t.cpu() for t in wanted], dtype)
    grads = kernel.backward(blocks, blocks, keys, keys, *got, mask, (0, 0), False)[:3]
    others = plain.backward(blocks, blocks, keys, keys, *wanted, mask, (0, 0), False)[:3]
    agree(grads, [t.cpu() for t in others], dtype)


@pytest.mark.card((9, 0))
def test_more_blocks_than_a_grid_has(device):
    blocks = torch.randn(70_000, 1, 16, 32, device=device, dtype=torch.float16)
    kernel = fused_cuda.FusedCUDA(0.2)
    out, total = kernel.forward(blocks, blocks, blocks, None, (0, 0))
    assert not fused_cuda._REFUSED
    last = Eager(0.2).forward(*[blocks[-5:]] * 3, None, (0, 0))
    agree((out[-5:], total[-5:]), [t.cpu() for t in last], torch.float16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.card((9, 0))
def test_grouped_heads_forward_and_backward(device, dtype, key_heads):
    if dtype == torch.bfloat16 and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no bf16 on this card")
    query, key, value = (torch.randn(2, heads, 200, DIM).to(dtype) for heads in (4, key_heads, key_heads))
    upstream = torch.randn(query.shape)
    options = {"window": (33, 0), "softcap": None}

    def run(place, work, backend):
        given = [t.to(place, work).requires_grad_() for t in (query, key, value)]
        out = sliding_window_attention(*given, backend=backend, **options)
        return (out, *torch.autograd.grad(out, given, upstream.to(out)))

    agree(run(device, dtype, "blocked"), run("cpu", torch.float64, "reference"), dtype)


@pytest.mark.parametrize("length", [64, 512, 1024])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_whole_blocks_of_transient_tokens_forward_and_backward(device, dtype, length):
    """Where rows fill whole tiles, and where one call holds all rows: the layouts differ."""
    tensors, is_global, _ = drawn(length, dtype)
    tensors = [t[:1] for t in tensors]
    upstream = torch.randn(tensors[0].shape)
    wanted = run("transient", [t.double() for t in tensors], is_global, None, "reference", upstream)
    got = run("transient", [t.to(device) for t in tensors], None, None, "blocked", upstream.to(device))
    agree(got, wanted, dtype)
