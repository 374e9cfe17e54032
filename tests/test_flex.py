"""FlexAttention's block lists and rule, run unfused on the CPU, against the oracle."""

import functools
import inspect
import shutil

import pytest
import torch
from agreement import random_mask
from torch._dynamo.testing import CompileCounterWithBackend

from longsum_lib.attention import patterns, sliding_window_attention
from longsum_lib.attention.sliding_window import attention as sliding_window
from longsum_lib.attention.sliding_window import flex
from longsum_lib.attention.sliding_window.attention import Task
from longsum_lib.attention.sliding_window.flex import BLOCK, block_mask
from longsum_lib.upstream.torch import compiled_whole
from tools.pretend_gpu import pretended_gpu


@pytest.mark.parametrize("length", [1, 100, 300, 513])
@pytest.mark.parametrize("mask", ["none", "right", "scattered"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_agrees_with_the_oracle(length, mask):
    query, key, value = torch.randn(3, 2, 2, length, 16)
    padding = random_mask(mask, 2, length)
    is_global = torch.zeros(2, length, dtype=torch.bool)
    is_global[0, 0] = True
    is_global[1, length // 2 :: 40] = True
    options = {"window": 40, "padding": padding, "is_global": is_global}
    with torch.no_grad():
        expected = sliding_window_attention(query, key, value, backend="reference", **options)
        out = sliding_window_attention(query, key, value, backend="flex", **options)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_for_a_cpu_it_agrees_with_the_oracle_at_any_length():
    for length, window in ((300, 40), (513, 40), (131, 17)):  # compiled for the first, then for all others
        query, key, value = torch.randn(3, 2, 2, length, 16)
        padding = random_mask("right", 2, length)
        is_global = torch.zeros(2, length, dtype=torch.bool)
        is_global[:, 0] = True
        options = {"window": window, "padding": padding, "is_global": is_global}
        with torch.no_grad():
            expected = sliding_window_attention(query, key, value, backend="reference", **options)
            out = sliding_window_attention(query, key, value, backend="compiled", **options)
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [0, 1, 127, 128, 129, 300])
def test_the_listed_blocks_are_those_that_hold_a_visible_pair(window):
    length = 700
    is_global = torch.zeros(1, length, dtype=torch.bool)
    is_global[0, [0, 650]] = True
    blocks = -(-length // BLOCK)
    mask = block_mask(torch.zeros(1, 1, length, 16), length, Task(window, window, 0, is_global, None, 1.0))
    listed = torch.zeros(blocks, blocks, dtype=torch.bool)
    whole = torch.zeros(blocks, blocks, dtype=torch.bool)
    for row in range(blocks):
        listed[row, mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].long()] = True
        whole[row, mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].long()] = True
    assert not (listed & whole).any()
    sees = patterns.window(length, window) | is_global  # global rows are overwritten later
    sees = torch.nn.functional.pad(sees, (0, blocks * BLOCK - length, 0, blocks * BLOCK - length))
    tiles = sees.view(blocks, BLOCK, blocks, BLOCK)
    assert torch.equal(listed | whole, tiles.any(3).any(1))
    # Rows and keys that do not exist do not count, but no block with such keys is called whole.
    exists = (torch.arange(blocks * BLOCK) < length).view(1, 1, blocks, BLOCK)
    rows = exists.view(blocks, BLOCK, 1, 1)
    assert torch.equal(whole, ((tiles | ~rows) & exists).all(3).all(1))


def test_one_compilation_serves_all_windows_and_masks(monkeypatch):
    counter = CompileCounterWithBackend("eager")
    monkeypatch.setattr(flex, "_compiled", functools.cache(lambda: torch.compile(flex.flex_attention, backend=counter)))
    torch.compiler.reset()
    with torch.no_grad():
        for window in range(3, 40, 3):
            query, key, value = torch.randn(3, 2, 2, 300, 16)
            is_global = torch.rand(2, 300) < 0.02
            options = {"window": (window, window // 2), "padding": random_mask("right", 2, 300), "is_global": is_global}
            expected = sliding_window_attention(query, key, value, backend="reference", **options)
            out = sliding_window_attention(query, key, value, backend="compiled", **options)
            torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    assert counter.frame_count == 1
    torch.compiler.reset()


def test_where_it_was_only_our_choice_a_failure_falls_back_to_blocks(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no compiler here")

    refused = set()
    monkeypatch.setattr(sliding_window, "_REFUSED", refused)
    monkeypatch.setattr(flex, "flex_sliding_window", fail)
    choose = sliding_window.choose_backend
    monkeypatch.setattr(sliding_window, "choose_backend", lambda query, _: "blocked" if refused else "flex")
    query, key, value = torch.randn(3, 1, 2, 40, 16)
    with pytest.warns(UserWarning, match="no compiler here"):
        out = sliding_window_attention(query, key, value, window=3)
    torch.testing.assert_close(out, sliding_window_attention(query, key, value, window=3, backend="reference"))
    sliding_window_attention(query, key, value, window=3)  # it is not tried again, and there is no other warning
    with pretended_gpu((9, 0)):
        there = query.to("cuda")
        assert choose(there) == "flex"
        refused.add(sliding_window._kind(there))
        assert choose(there) == "blocked"
        assert choose(there.half()) == "flex"
    with pytest.raises(RuntimeError, match="no compiler here"):
        sliding_window_attention(query, key, value, window=3, backend="flex")


def test_beyond_the_limit_of_kinds_it_fails_and_does_not_run_uncompiled(monkeypatch):
    """torch would run it uncompiled, which makes the whole score matrix, and say nothing."""
    counter = CompileCounterWithBackend("eager")
    compile_ = torch.compile

    @functools.wraps(compile_)
    def counting(*args, **options):
        return compile_(*args, backend=counter, **options)

    monkeypatch.setattr(torch, "compile", counting)
    monkeypatch.setattr(flex, "_compiled", functools.cache(lambda: compiled_whole(flex.flex_attention, 64)))
    limited = "recompile_limit" in inspect.signature(compile_).parameters
    torch.compiler.reset()
    kinds = range(1, 13)  # numbers of heads; torch's own limit is 8
    done = 0
    for heads in kinds:
        x = torch.randn(1, heads, 40, 16)
        try:
            sliding_window_attention(x, x, x, window=3, backend="compiled")
        except Exception:
            break
        done += 1
    assert done == counter.frame_count == (len(kinds) if limited else 8)
    torch.compiler.reset()


def test_what_it_cannot_do_is_refused():
    x = torch.randn(1, 1, 8, 16, requires_grad=True)
    with pytest.raises(ValueError, match="no backward pass on the CPU"):
        sliding_window_attention(x, x, x, window=2, backend="flex")
    with pytest.raises(ValueError, match="no dropout"):
        sliding_window_attention(x, x, x, window=2, dropout=0.1, backend="flex")
