"""The oracle itself, against a loop that cannot be misread."""

import math

import pytest
import torch

from longsum_lib.attention import dense_attention


def by_hand(query, key, value, attend):
    out = torch.zeros_like(query)
    for i, q in enumerate(query):
        seen = [j for j in range(len(key)) if attend[i][j]]
        weights = [math.exp(float(q @ key[j]) / math.sqrt(len(q))) for j in seen]
        for j, weight in zip(seen, weights, strict=True):
            out[i] += weight / sum(weights) * value[j]
    return out


def test_agrees_with_a_loop_over_pairs():
    query, key, value = torch.randn(3, 5, 4)
    attend = torch.rand(5, 5) > 0.5
    attend[2] = False
    out = dense_attention(query[None, None], key[None, None], value[None, None], attend=attend)
    torch.testing.assert_close(out[0, 0], by_hand(query, key, value, attend))
    assert out[0, 0, 2].eq(0).all()


def test_minus_infinity_in_the_bias_forbids_and_gradients_stay_finite():
    query, key, value = torch.randn(3, 1, 2, 4, 8, requires_grad=True)
    bias = torch.zeros(4, 4)
    bias[1] = -torch.inf
    bias[0, 3] = -torch.inf
    out = dense_attention(query, key, value, bias=bias)
    same = dense_attention(query, key, value, attend=bias == 0)
    torch.testing.assert_close(out, same)
    out.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_of_half_precision_are_made_in_single(dtype):
    query = torch.full((1, 1, 2, 64), 200.0, dtype=dtype)  # the dot product, 2.56e6, is beyond fp16
    out = dense_attention(query, query, torch.ones_like(query))
    assert out.dtype == dtype
    assert out.eq(1).all()
