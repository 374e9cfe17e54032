r"""Rows of global tokens without projecting every token a second time.

A global query :math:`q` scores token :math:`x_j` by :math:`q^\top W_k x_j = (W_k^\top q)^\top x_j`: the key projection
can be absorbed into the query. The values follow: :math:`\sum_j p_j W_v x_j = W_v \sum_j p_j x_j`. With ``g`` global
tokens this replaces two projections of ``length`` tokens by ``g · heads`` vectors of size ``d_model``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.key_sets import KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.sliding_window.attention import sliding_window_attention
from longsum_lib.attention.sliding_window.global_tokens import global_positions, put_rows, real_globals
from longsum_lib.upstream.torch import tracing


def overwrite_global_rows(
    context: Tensor,
    hidden: Tensor,
    query_weight: Tensor,
    query_bias: Tensor,
    key_weight: Tensor,
    key_bias: Tensor,
    value_weight: Tensor,
    value_bias: Tensor,
    is_global: Tensor,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Replace the rows of global tokens by their attention to all tokens, through projections of their own.

    Args:
        context: ``(batch, heads, length, head_dim)``, the attention of all tokens as local ones.
        hidden: ``(batch, length, d_model)``, what the layer projects.
        query_weight: ``(heads * head_dim, d_model)``; its bias ``(heads * head_dim,)``; likewise key and value.
        query_bias: see above.
        key_weight: see above.
        key_bias: see above.
        value_weight: see above.
        value_bias: see above.
        is_global: ``(batch, length)`` bool.
        padding: ``(batch, length)`` bool, ``True`` for real tokens.
        scale: factor of the dot product.
        dropout: probability of dropping an attention weight.

    Returns:
        ``context`` with its global rows replaced; a copy where autograd watches.

    Cost:
        with ``g`` global tokens, time ``O(g · heads · length · d_model)`` while ``g · heads < d_model``, beyond that
        ``O(length · d_model²)``; extra memory ``O(g · heads · (length + d_model))``.
    """
    is_global = real_globals(is_global, padding)
    if tracing() and not dropout:
        weights = (query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
        return _overwrite_operator(context, hidden, *weights, is_global, padding, scale)
    positions, exists = global_positions(is_global)
    if positions.shape[1] == 0:
        return context
    weights = (query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
    out = global_rows(hidden, *weights, positions, exists, context.shape[1], padding, scale, dropout)
    return put_rows(context, out, positions, exists)


def global_rows(
    hidden: Tensor,
    query_weight: Tensor,
    query_bias: Tensor,
    key_weight: Tensor,
    key_bias: Tensor,
    value_weight: Tensor,
    value_bias: Tensor,
    positions: Tensor,
    exists: Tensor,
    heads: int,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Attend from global tokens at ``positions`` ``(batch, globals)``, of which some may not exist, to all tokens.

    The other arguments are those of :func:`overwrite_global_rows`.

    Returns:
        ``(batch, heads, globals, head_dim)``.
    """
    d_model = hidden.shape[-1]
    rows = hidden.gather(1, positions[..., None].expand(-1, -1, d_model))  # (b, g, d_model)
    query = torch.nn.functional.linear(rows, query_weight, query_bias).unflatten(-1, (heads, -1)).transpose(1, 2)
    if positions.shape[1] * heads < d_model:
        weights = (key_weight, key_bias, value_weight, value_bias)
        return _absorbed(query, hidden, *weights, padding, scale, dropout)
    key, value = (
        torch.nn.functional.linear(hidden, w, b).unflatten(-1, (heads, -1)).transpose(1, 2)
        for w, b in ((key_weight, key_bias), (value_weight, value_bias))
    )
    return _see_everything(query, key, value, exists, padding, scale, dropout)


def _see_everything(
    query: Tensor, key: Tensor, value: Tensor, exists: Tensor, padding: Tensor | None, scale: float, dropout: float
) -> Tensor:
    keys = KeySet(key, value, query.shape[2], attend=padding)
    return block_attention(query, [keys], scale=scale, attend=exists, dropout=dropout)


def project_global_rows(
    context: Tensor,
    hidden: Tensor,
    projections: Sequence[Callable[[Tensor], Tensor]],
    is_global: Tensor,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Do what :func:`overwrite_global_rows` does, through projections of query, key and value that are called.

    Args:
        context: ``(batch, heads, length, head_dim)``.
        hidden: ``(batch, length, d_model)``, what the layer projects.
        projections: of queries, keys and values; each is called once, with rows ``(batch, globals, d_model)`` for the
            queries and with all of ``hidden`` for the others.
        is_global: ``(batch, length)`` bool.
        padding: ``(batch, length)`` bool, ``True`` for real tokens.
        scale: factor of the dot product.
        dropout: probability of dropping an attention weight.

    Returns:
        ``context`` with its global rows replaced; a copy where autograd watches.

    Cost:
        time ``O(length · d_model²)``; extra memory ``O(length · d_model)``.
    """
    heads = context.shape[1]
    if tracing():  # how many tokens are global is not known: all of them ask, and the mask chooses
        query, key, value = (p(hidden).unflatten(-1, (heads, -1)).transpose(1, 2) for p in projections)
        everything = sliding_window_attention(
            query, key, value, window=0, is_global=is_global, padding=padding, scale=scale, dropout=dropout
        )
        return torch.where(is_global[:, None, :, None], everything, context)
    positions, exists = global_positions(real_globals(is_global, padding))
    if positions.shape[1] == 0:
        return context
    rows = hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))  # (b, g, d_model)
    query, key, value = (
        p(x).unflatten(-1, (heads, -1)).transpose(1, 2)
        for p, x in zip(projections, (rows, hidden, hidden), strict=True)
    )
    out = _see_everything(query, key, value, exists, padding, scale, dropout)
    return put_rows(context, out, positions, exists)


def _absorbed(
    query: Tensor,
    hidden: Tensor,
    key_weight: Tensor,
    key_bias: Tensor,
    value_weight: Tensor,
    value_bias: Tensor,
    padding: Tensor | None,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attend from ``(b, heads, g, dim)`` to ``hidden`` ``(b, length, d_model)`` with both projections absorbed."""
    batch, heads, count, dim = query.shape
    by_head = (heads, dim, hidden.shape[-1])
    work = torch.promote_types(query.dtype, torch.float32)  # few vectors: their rounding would reach every score
    absorbed = torch.einsum("bhgd,hdm->bhgm", query.to(work) * scale, key_weight.to(work).view(by_head))
    scores = absorbed.to(hidden.dtype).flatten(1, 2) @ hidden.transpose(1, 2)  # (b, heads * g, length)
    # The keys' bias shifts all scores of a query alike: no effect, but it stays in the graph, with gradient zero.
    shift = torch.einsum("bhgd,hd->bhg", query.to(work) * scale, key_bias.to(work).view(heads, dim))
    scores = scores.to(work) + shift.flatten(1, 2)[..., None]
    if padding is not None:
        scores = scores.masked_fill(~padding[:, None, :], torch.finfo(work).min)
    weights = torch.nn.functional.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    mixed = (weights.to(hidden.dtype) @ hidden).view(batch, heads, count, -1)
    out: Tensor = torch.einsum("bhgm,hdm->bhgd", mixed.to(work), value_weight.to(work).view(by_head))
    total = weights.sum(-1).view(batch, heads, count, 1)  # 1, but for dropout
    return (out + total * value_bias.to(work).view(1, heads, 1, dim)).to(query.dtype)


@opaque("overwrite_global_rows")
def _overwrite_operator(
    context: Tensor,
    hidden: Tensor,
    query_weight: Tensor,
    query_bias: Tensor,
    key_weight: Tensor,
    key_bias: Tensor,
    value_weight: Tensor,
    value_bias: Tensor,
    is_global: Tensor,
    padding: Tensor | None,
    scale: float,
) -> Tensor:
    weights = (query_weight, query_bias, key_weight, key_bias, value_weight, value_bias)
    # An operator must return new memory, and without autograd put_rows writes in place.
    return overwrite_global_rows(context.clone(), hidden, *weights, is_global, padding, scale)
