"""What the agreement tests share: masks of every kind, tolerances by dtype, a comparison."""

import torch
from hypothesis import strategies as st

# Absolute errors for values of order one; comparisons allow ten times as much, scaled by the largest value.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2, torch.float16: 4e-3}

MASKS = st.sampled_from(["none", "right", "left", "scattered", "empty"])


def random_mask(kind: str, batch: int, length: int) -> torch.Tensor | None:
    if kind == "none":
        return None
    mask = torch.ones(batch, length, dtype=torch.bool)
    cut = length // 3
    if kind == "right":
        mask[0, length - cut :] = False
    elif kind == "left":
        mask[0, :cut] = False
    elif kind == "scattered":
        mask = torch.rand(batch, length) > 0.3
    else:
        mask[-1] = False
    return mask


def close(got, wanted, dtype):
    got, wanted = got.detach(), wanted.detach()
    scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got.double(), wanted.double(), rtol=0, atol=10 * TOLERANCE[dtype] * scale)
