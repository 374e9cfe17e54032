"""The dense oracle: softmax attention over an explicit mask or bias.

Every mechanism of this package must agree with this function. It is written to be read and to be right, not to
be fast: it makes the whole ``length × length`` score matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dense_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    attend: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    sinks: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    r"""Attend from every query to every key that ``attend`` allows.

    .. math::

       o_i = \sum_{j \in A_i} \frac{e^{s q_i \cdot k_j + b_{ij}}}
             {e^{z} + \sum_{m \in A_i} e^{s q_i \cdot k_m + b_{im}}} v_j

    with :math:`e^z` only where there are sinks, and :math:`c \tanh(s q_i \cdot k_j / c)` instead of
    :math:`s q_i \cdot k_j` where there is a softcap :math:`c`.

    Args:
        query: ``(batch, heads, queries, head_dim)``, floating point.
        key: ``(batch, key_heads, keys, head_dim)``; ``key_heads`` divides ``heads``, and query head ``h`` reads key
            head ``h // (heads / key_heads)``: grouped queries.
        value: ``(batch, key_heads, keys, value_dim)``.
        attend: bool, broadcastable to ``(batch, heads, queries, keys)``; ``True`` = may attend. ``None`` = all.
        bias: additive scores, broadcastable to the same shape; ``-inf`` forbids a pair.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        sinks: ``(heads,)``, a score in each head that takes weight and gives nothing.
        softcap: bound of the scaled scores.

    Returns:
        ``(batch, heads, queries, value_dim)`` in the dtype of ``value``; a query that may see nothing gives zeros.

    Raises:
        RuntimeError: from torch, if shapes do not fit. Number formats may differ: all are computed in at least fp32.

    Cost:
        time and memory ``O(batch · heads · queries · keys)``. Scores are at least fp32 whatever the input.

    Source:
        Vaswani et al. 2017, section 3.2.1, with a mask and a bias; there, rows that see nothing are not defined.
        Grouped queries: Ainslie et al. 2023. Softcap: Gemma Team 2024, section 2. Sinks: OpenAI 2025, gpt-oss.

    Example:
        >>> x = torch.ones(1, 1, 3, 2)
        >>> dense_attention(x, x, x, attend=torch.eye(3, dtype=torch.bool)).shape
        torch.Size([1, 1, 3, 2])
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    work = torch.promote_types(query.dtype, torch.float32)
    groups = query.shape[1] // max(1, key.shape[1])
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = scale * (query.to(work) @ key.to(work).transpose(-1, -2))  # (b, h, queries, keys)
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    if bias is not None:
        scores = scores + bias.to(work)
    if attend is not None:
        scores = scores.masked_fill(~attend, -torch.inf)
    sees_nothing = (scores == -torch.inf).all(-1, keepdim=True)
    scores = scores.masked_fill(sees_nothing, 0.0)
    if sinks is not None:
        sink = sinks.to(work).view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sink], dim=-1)
    probabilities = scores.softmax(-1)[..., : key.shape[2]].masked_fill(sees_nothing, 0.0)
    return (probabilities @ value.to(work)).to(value.dtype)
