#!/usr/bin/env bash
# `F.pad` gives a contiguous tensor, unless there is nothing to pad: then the copy lies as the input does.
#
# Guess: the result of `torch.nn.functional.pad` is a new tensor whose rows lie side by side, however many were added.
# What happens: with a constant and widths of zero it is `clone`, which keeps strides. Code that pads up to a multiple and
#   hands the result to a kernel that reads rows as whole works at every length but those that are multiples already.
# Versions: torch 2.13.0 (CPU), Python 3.11; run on 2026-11-29.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy
cd "$work"
"$work/venv/bin/python" - <<'PYTHON' 2>/dev/null
import torch

found = {}
for rows in (30, 31, 32):
    turned = torch.randn(rows, 4).T  # its rows are not whole: the stride of the last dimension is 4
    padded = torch.nn.functional.pad(turned, (0, -rows % 32), value=7.0)
    found[rows] = tuple(padded.shape), padded.stride()
    assert padded.data_ptr() != turned.data_ptr()
    print(f"{rows} rows padded to 32: shape {found[rows][0]}, strides {found[rows][1]}")
assert found[30] == found[31] == ((4, 32), (32, 1))
assert found[32] == ((4, 32), (1, 4))
PYTHON
