#!/usr/bin/env bash
# Compiled FlexAttention makes no score matrix, until it is called with a ninth number of heads: from then on it does.
#
# Guess: `torch.compile(flex_attention)` either runs the fused kernel or says that it cannot.
# What happens: torch compiles it anew for each number of heads, head size, format and option, and stops after eight
#   (`recompile_limit`). The ninth kind runs uncompiled. Uncompiled FlexAttention makes all scores in fp32: at 16,384
#   tokens 1 GiB a head. No exception comes; a warning does, in the log. `fullgraph=True` turns it into an error.
# Versions: torch 2.13.0 (CPU), Python 3.11; run on 2026-11-29. It needs a C++ compiler and takes a few minutes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy setuptools
cd "$work"
TORCHINDUCTOR_CACHE_DIR="$work/cache" "$work/venv/bin/python" - <<'PYTHON' 2>/dev/null
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.profiler import ProfilerActivity, profile

LENGTH, LIMIT = 1024, torch._dynamo.config.recompile_limit


def near(batch, head, query, key):
    return (query - key).abs() <= 64


mask = create_block_mask(near, None, None, LENGTH, LENGTH, device="cpu")
compiled = torch.compile(flex_attention)


def largest(heads):
    """The largest block of memory that a call asks for, in matrices of all scores."""
    query, key, value = torch.randn(3, 1, heads, LENGTH, 16)
    with torch.no_grad():
        compiled(query, key, value, block_mask=mask)  # compiled here, if at all
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            compiled(query, key, value, block_mask=mask)
    events = profiler.profiler.kineto_results.events()
    return max(event.nbytes() for event in events if event.name() == "[memory]") / (4 * heads * LENGTH**2)


found = [largest(heads) for heads in range(1, LIMIT + 2)]
print(f"limit {LIMIT}; largest block of each, in score matrices: {[round(share, 2) for share in found]}")
assert LIMIT == 8
assert max(found[:LIMIT]) < 0.3
assert found[LIMIT] >= 1
PYTHON
