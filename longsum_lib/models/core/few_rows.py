"""A decoding step of a few rows: attention to a cache, cross-attention to documents, the large projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longsum_lib.models.core.cache import beams_per_document
from longsum_lib.models.core.looking import is_plain
from longsum_lib.upstream.torch import few_rows_linear, tracing, transforming, without_cudnn

# Rows of queries whose scores with a whole document are stored at once: 32 rows, 12 heads and 16,384 keys are 24 MiB.
ROWS_OF_SCORES = 32

# Rows up to which a product is bound by reading its weights.
FEW_ROWS = 32


def attend_rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    with_weights: bool = False,
    scale: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Full attention of ``(rows, heads, length, dim)`` to ``(rows, heads, keys, dim)``; mask bool or additive."""
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    if not with_weights:
        with without_cudnn(query.device):
            return F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scale), None
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    work = torch.promote_types(query.dtype, torch.float32)  # unscaled scores (T5) leave the range of fp16
    scores = (query.to(work) @ key.to(work).transpose(-1, -2)) * scale
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0).to(value.dtype)
    return weights @ value, weights


def attend_documents(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    with_weights: bool = False,
    scale: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Cross-attention of ``(rows, heads, length, dim)`` to ``(documents, heads, keys, dim)``.

    The ``beams = rows / documents`` rows of a document become ``beams · length`` queries of one fused call, so its
    keys and values are read once, not once a beam.

    Returns:
        ``(rows, heads, length, dim)`` and the weights ``(rows, heads, length, keys)`` or ``None``.
    """
    rows, heads, length, dim = query.shape
    documents = key.shape[0]
    beams = beams_per_document(rows, documents)
    if mask is not None and 1 < mask.shape[0] < documents:  # a cache of the caller's holds a document once a beam
        mask = mask.repeat_interleave(documents // mask.shape[0], 0)
    if mask is not None and mask.shape[0] == rows and beams > 1:
        mask = mask.view(documents, beams, *mask.shape[1:])[:, 0]
    # (documents, heads, beams * length, dim)
    grouped = query.view(documents, beams, heads, length, dim).transpose(1, 2).reshape(documents, heads, -1, dim)
    by_columns = key.stride(-1) != 1  # the fused kernel would read such keys as if they lay in rows
    if by_columns and not (with_weights or dropout or torch.is_grad_enabled()):
        context, weights = _attend_few(grouped, key, value, mask, scale), None
    else:
        key = key.contiguous() if by_columns else key
        context, weights = attend_rows(grouped, key, value, mask, dropout, with_weights, scale)
    context = context.reshape(documents, heads, beams, length, dim).transpose(1, 2).reshape(rows, heads, length, dim)
    if weights is not None:
        weights = weights.view(documents, heads, beams, length, -1).transpose(1, 2).flatten(0, 1)
    return context, weights


def _attend_few(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Attend from a few rows by plain products, to keys that are stored by columns; their scores are small."""
    columns, scale = key.transpose(-1, -2), query.shape[-1] ** -0.5 if scale is None else scale
    out = []
    for rows in (query * scale).split(ROWS_OF_SCORES, dim=2):
        scores = rows @ columns
        if mask is not None:
            scores = scores.masked_fill_(~mask, -torch.inf) if mask.dtype == torch.bool else scores.add_(mask)
        weights = scores.softmax(-1)
        # A document of nothing but padding is seen by no row.
        out.append((weights if mask is None else weights.nan_to_num_(0.0)) @ value)
    return out[0] if len(out) == 1 else torch.cat(out, 2)


def linear_of_few(module: nn.Module, states: Tensor) -> Tensor:
    """Apply a large projection to a few rows ``(…, d_model)``, as the head of a decoder does in every step.

    For 4 rows and more, oneDNN's product reads the weights about twice as fast as the one that ``linear`` calls on the
    CPU. Anything but a plain fp32 projection without gradients is called as it is.
    """
    rows = states.numel() // max(1, states.shape[-1])
    plain = type(module) is nn.Linear and states.device.type == "cpu" and states.dtype == torch.float32
    plain = plain and module.weight.dtype == torch.float32 and module.weight.device.type == "cpu"
    if torch.is_grad_enabled() or tracing() or not plain or not 4 <= rows <= FEW_ROWS:
        few = None
    else:
        few = few_rows_linear() if is_plain(module) and not transforming() else None
    out: Tensor = module(states) if few is None else few(states, module.weight, module.bias, "none", [], "")
    return out
