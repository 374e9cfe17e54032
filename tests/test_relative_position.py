"""Buckets and bias layouts against a plain loop and against transformers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longsum_lib.attention.relative_position import band_bias, distance_bias, distances, relative_position_bucket

ENCODER = {-8: 8, -7: 7, 0: 0, 1: 17, 7: 23, 8: 24, 9: 24, 16: 26, 127: 31, 128: 31, 1000: 31}
DECODER = {-1: 1, -15: 15, -16: 16, -20: 17, -127: 31, -128: 31, -500: 31, 3: 0}


@pytest.mark.parametrize(("bidirectional", "expected"), [(True, ENCODER), (False, DECODER)])
def test_known_buckets(bidirectional, expected):
    bucket = relative_position_bucket(torch.tensor(list(expected)), bidirectional=bidirectional)
    assert bucket.dtype == torch.int64
    assert bucket.tolist() == list(expected.values())


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "most"), [(32, 128), (8, 20), (64, 1000), (4, 3), (6, 7)])
def test_buckets_equal_transformers(bidirectional, buckets, most):
    from transformers.models.longt5.modeling_longt5 import LongT5LocalAttention

    distance = torch.arange(-3000, 3001)
    theirs = LongT5LocalAttention._relative_position_bucket(distance, bidirectional, buckets, most)
    ours = relative_position_bucket(distance, bidirectional=bidirectional, num_buckets=buckets, max_distance=most)
    assert torch.equal(ours, theirs)


@given(st.integers(-(10**6), 10**6))
def test_bucket_formula(distance):
    bucket = int(relative_position_bucket(torch.tensor(distance)))
    far = abs(distance)
    one_way = far if far < 8 else min(15, 8 + math.floor(8 * math.log(far / 8) / math.log(16) + 1e-6))
    assert bucket == one_way + (16 if distance > 0 else 0)


def test_buckets_grow_with_distance():
    bucket = relative_position_bucket(torch.arange(1, 500))
    assert (bucket.diff() >= 0).all()
    assert bucket.unique().numel() == 15  # distance 0 belongs to the other direction


@pytest.mark.parametrize(("buckets", "most"), [(2, 128), (0, 128), (32, 8)])
def test_impossible_buckets(buckets, most):
    with pytest.raises(ValueError, match="buckets"):
        relative_position_bucket(torch.tensor([1]), num_buckets=buckets, max_distance=most)


def test_distance_bias_looks_up_every_head():
    table = torch.randn(32, 3)
    bias = distance_bias(table, distances(5).view(1, 11))
    assert bias.shape == (3, 1, 11)
    assert torch.equal(bias[2, 0, 6], table[17, 2])


def test_half_tables_give_fp32_biases():
    assert distance_bias(torch.randn(32, 2).bfloat16(), distances(2)).dtype == torch.float32
    assert distance_bias(torch.randn(32, 2).double(), distances(2)).dtype == torch.float64


@pytest.mark.parametrize(("window", "block"), [(0, 1), (0, 4), (3, 1), (3, 8), (7, 3)])
def test_band_bias_is_the_bias_of_the_distance(window, block):
    bias = torch.randn(2, 2 * window + 1)
    band = band_bias(bias, block)
    assert band.shape == (1, 2, 1, block, block + 2 * window)
    for row in range(block):
        for column in range(block + 2 * window):
            distance = column - row - window
            expected = bias[:, distance + window] if abs(distance) <= window else torch.full((2,), -torch.inf)
            assert torch.equal(band[0, :, 0, row, column], expected)


def test_band_bias_gradient_counts_every_use():
    bias = torch.zeros(1, 5, requires_grad=True)
    band_bias(bias, 6)[0, 0, 0].masked_fill(band_bias(bias, 6)[0, 0, 0] == -torch.inf, 0).sum().backward()
    assert bias.grad.tolist() == [[6.0] * 5]
