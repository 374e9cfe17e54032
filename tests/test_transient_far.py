"""Far transient tokens in one call, their one bias in the log-sum-exp: the same as with all biases laid out."""

import pytest
import torch

from longsum_lib.attention.relative_position import distance_bias, distances
from longsum_lib.attention.transient_global import attention, far


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(far, "WORTH_WHILE", 4)


def biases(blocks, heads=2, seed=0):
    table = torch.randn(32, heads, generator=torch.Generator().manual_seed(seed))
    return distance_bias(table, distances(blocks - 1), max_distance=16)


def run(length, block_size, padding=None, backend="blocked", bias=None, dtype=torch.float32):
    torch.manual_seed(0)
    blocks = length // block_size
    tensors = torch.randn(3, 1, 2, length, 8).to(dtype)
    side = torch.randn(2, 1, 2, blocks, 8).to(dtype)
    given = {"window": 5, "block_size": block_size, "side_key": side[0], "side_value": side[1], "padding": padding}
    given |= {"side_bias": biases(blocks) if bias is None else bias(blocks), "local_bias": torch.randn(2, 11)}
    return attention.transient_global_attention(*tensors, **given, scale=1.0, backend=backend)


@pytest.mark.parametrize("block_size", [1, 4])
@pytest.mark.parametrize("length", [160, 200])
@torch.no_grad()
def test_a_whole_text(length, block_size, monkeypatch):
    """One call covers all rows, so nothing is far; the streamed encoder below has chunks."""
    torch.testing.assert_close(run(length, block_size), run(length, block_size, backend="reference"))


@pytest.mark.parametrize("padding", ["none", "right"])
@pytest.mark.parametrize("bias", [None, lambda blocks: torch.zeros(1, 2 * blocks - 1)], ids=["learned", "none"])
@torch.no_grad()
def test_chunks_are_the_same_as_with_all_biases(padding, bias, monkeypatch):
    torch.manual_seed(0)
    length, size, rows, window, blocks = 480, 4, 40, 5, 120
    query, key, value = torch.randn(3, 1, 2, length, 8)
    side_key, side_value = torch.randn(2, 1, 2, blocks, 8)
    side_bias = biases(blocks) if bias is None else bias(blocks)
    real = None if padding == "none" else torch.arange(length)[None] < 445
    side = attention.SideKeys.of(side_key, side_value, side_bias, real, length, size)
    local, taken, attend = torch.randn(2, 2 * window + 1), [], far.attend_with_far
    monkeypatch.setattr(attention, "attend_with_far", lambda *args: (taken.append(args[4]), attend(*args))[1])

    def chunk(first):
        begin = max(0, first - window)
        around = slice(begin, first + rows + window)
        mask = None if real is None else real[:, around]
        where = {"first": first, "before": first - begin}
        near = (query[:, :, first : first + rows], key[:, :, around], value[:, :, around])
        return attention.rows_near(*near, side, local, mask, window, 1.0, **where)

    for first in range(0, length, rows):
        got = chunk(first)
        with monkeypatch.context() as patched:
            patched.setattr(attention, "near_span", lambda *args: None)
            torch.testing.assert_close(got, chunk(first), rtol=1e-5, atol=2e-6)
    assert len(taken) >= length // rows - 2


def test_with_gradients_all_biases_are_laid_out():
    side_key, side_value = torch.randn(2, 1, 2, 100, 8)
    side = attention.SideKeys.of(side_key, side_value, biases(100), None, 400, 4)
    assert far.near_span(side, 0, 40, 0.0) is None
    with torch.no_grad():
        assert far.near_span(side, 0, 40, 0.1) is None
        begin, end = far.near_span(side, 0, 40, 0.0)
    assert end == 100  # the order is reversed: the first block is the last
    assert 100 - begin == 9 + far.saturation(side.bias)


def test_learned_biases_saturate_where_buckets_do():
    assert far.saturation(biases(100)) == 15
    assert far.saturation(biases(5)) == 4
    assert far.saturation(torch.zeros(1, 9)) == 1
