#!/usr/bin/env bash
# Without oneDNN a product of two half-precision matrices on a CPU takes several times as long as the same product whose
# second matrix is stored transposed; in fp32 both take the same.
#
# Guess: on a processor without instructions for bf16 a product is somewhat slower than in fp32, and how its matrices lie
#   matters as little as it does there.
# What happens: oneDNN makes products of bf16 and fp16 on processors with AVX-512 or newer only. On others, as many
#   laptops have, and wherever oneDNN is switched off, torch multiplies by loops of its own, which BLAS has no part in.
#   `torch.nn.Linear` meets the better layout and takes five to six times as long as in fp32; `a @ b` takes seven to ten
#   times as long again. Nothing warns, and bf16 that was chosen to save memory makes a model several times slower.
# Versions: torch 2.13.0 (CPU, AVX2), Python 3.11; run on 2026-11-29. oneDNN is switched off, and torch's own loops are
#   kept to AVX2, so that newer processors show it too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy
cd "$work"
ATEN_CPU_CAPABILITY=avx2 "$work/venv/bin/python" - <<'PYTHON' 2>/dev/null
import time

import torch

torch.set_num_threads(1)
SIZE = 1024


def seconds(left, right):
    """The least processor time of three products."""
    found = []
    for _ in range(3):
        start = time.process_time()
        product = left @ right
        found.append(time.process_time() - start)
    assert product.isfinite().all()
    return min(found)


left, right = torch.randn(2, SIZE, SIZE)
times = {}
with torch.backends.mkldnn.flags(enabled=False):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        a, plain = left.to(dtype), right.to(dtype)
        transposed = plain.T.contiguous().T  # the same numbers, column by column
        times[dtype] = seconds(a, plain), seconds(a, transposed)
        print(f"{dtype}: plain {times[dtype][0]:.3f} s, second matrix by columns {times[dtype][1]:.3f} s")

full = min(times[torch.float32])
assert max(times[torch.float32]) < 2 * full
for dtype in (torch.bfloat16, torch.float16):
    plain, transposed = times[dtype]
    assert plain > 3 * transposed, times
    assert transposed > 2 * full, times
PYTHON
