r"""Sinks: a learned score in each head that takes weight and gives nothing.

A sink is a part without values: its output is zero and its log-sum-exp is the score :math:`z`. It merges like any
other part, :math:`\ell' = \log(e^\ell + e^z)` and :math:`o' = e^{\ell - \ell'} o`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add_sinks(out: Tensor, total: Tensor, sinks: Tensor) -> None:
    """Merge sinks into an output and its log-sum-exp, in place.

    Args:
        out: ``(batch, heads, length, dim)``.
        total: ``(batch, heads, length)``, ``-inf`` where a row sees no key.
        sinks: ``(heads,)``.
    """
    merged = torch.logaddexp(total, sinks.to(total.dtype)[:, None])
    out.mul_((total - merged).exp_().unsqueeze(-1).to(out.dtype))
    total.copy_(merged)


def sinks_gradient(grad: Tensor, out: Tensor, total: Tensor, sinks: Tensor) -> Tensor:
    r"""Return the gradient of the sinks, ``(heads,)``: :math:`-\sum_i e^{z - \ell'_i} \, g_i \cdot o'_i`."""
    weight = (sinks.to(total.dtype)[:, None] - total).exp_()
    weight = weight.masked_fill(total == -torch.inf, 0.0)  # rows of padding
    return -(weight * (grad.to(total.dtype) * out.to(total.dtype)).sum(-1)).sum((0, 2)).to(sinks.dtype)
