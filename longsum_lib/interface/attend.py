"""What transformers' attention interface calls for ``attn_implementation="longsum"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.band import band_attention, band_key_sets
from longsum_lib.attention.reference import dense_attention
from longsum_lib.attention.sliding_window.attention import choose_backend, sliding_window_attention
from longsum_lib.errors import UnsupportedAttention
from longsum_lib.interface.arguments import Scores, read_arguments
from longsum_lib.interface.sight import Sight, SightMask
from longsum_lib.upstream.torch import without_cudnn


def longsum_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as a layer of transformers asks for it.

    Windows go to this library's engine, what is seen whole to PyTorch's fused kernel without a mask; padding, packed
    documents, sinks and capped scores are handled without a matrix of all pairs.

    Args:
        module: the layer; ``module.is_causal`` says what it means where it passes no mask.
        query: ``(batch, heads, queries, head_dim)``.
        key: ``(batch, key_heads, keys, head_dim)``.
        value: ``(batch, key_heads, keys, value_dim)``.
        attention_mask: what :func:`.masks.longsum_mask` gave, or a mask of all pairs, as the caller made it.
        dropout: probability of dropping an attention weight.
        scaling: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        **options: ``is_causal``, ``softcap``, ``s_aux`` (sinks), ``cu_seq_lens_q`` (packed documents), and what says
            nothing about attention.

    Returns:
        ``(batch, queries, heads, value_dim)``, and no weights.

    Raises:
        UnsupportedAttention: the layer asks for what cannot be done exactly here.
    """
    scores = read_arguments(module, query, dropout, scaling, options)
    if isinstance(attention_mask, SightMask):
        out = _by_sights(query, key, value, attention_mask, scores)
    elif attention_mask is not None:
        out = _by_matrix(query, key, value, attention_mask, scores)
    else:
        out = _one_band(query, key, value, _without_mask(query, key, scores), scores)
    return out.transpose(1, 2).contiguous(), None


def _without_mask(query: Tensor, key: Tensor, scores: Scores) -> Sight:
    """What a layer that passes no mask means, as transformers' sdpa reads it."""
    rows, keys = query.shape[2], key.shape[2]
    right = 0 if scores.is_causal and rows > 1 else keys
    documents = None if scores.documents is None else (scores.documents,) * len(query)
    return Sight(keys, rows + keys, right, documents=documents)


def _by_sights(query: Tensor, key: Tensor, value: Tensor, mask: SightMask, scores: Scores) -> Tensor:
    rows, keys = query.shape[2], key.shape[2]
    if mask.shape[2:] != (rows, keys) or len(query) % len(mask):
        raise UnsupportedAttention(
            f"the layer has {rows} queries and {keys} keys, its mask is of shape {tuple(mask.shape)}; "
            "use attn_implementation='sdpa' or 'eager' for this model"
        )
    if len(mask.sights) == 1:
        return _one_band(query, key, value, mask.sights[0], scores)
    return _joined_runs(query, key, value, mask.sights, scores)


def _joined_runs(query: Tensor, key: Tensor, value: Tensor, sights: Sequence[Sight], scores: Scores) -> Tensor:
    """Attend to several runs of keys at once: decoder and document in one softmax (T5Gemma 2)."""
    sets, first = [], 0
    for sight in sights:
        if sight.documents is not None:
            raise UnsupportedAttention(
                "packed documents do not go with keys of two kinds; pad them into a batch instead"
            )
        run = slice(first, first + sight.keys)
        where = (sight.left, sight.right, sight.offset, sight.padding, scores.stored)
        sets += band_key_sets(query, key[:, :, run], value[:, :, run], *where)
        first += sight.keys
    return block_attention(query, sets, **scores.options)


def _one_band(query: Tensor, key: Tensor, value: Tensor, sight: Sight, scores: Scores) -> Tensor:
    rows = query.shape[2]
    documents = sight.documents
    if documents is None and scores.documents is not None and sight.offset == 0:
        documents = (scores.documents,) * len(query)
    if documents is None and sight.padding is None and not scores.stored and scores.sinks is None:
        whole, causal = sight.sees_all(rows), _is_triangle(sight, rows)
        if (whole or causal) and value.shape[-1] == query.shape[-1]:
            if causal:
                key, value = key[:, :, :rows], value[:, :, :rows]
            return _fused(query, key, value, scores.scale, causal and not whole)
    if documents is None and choose_backend(query, scores.dropout) == "flex" and value.shape == key.shape:
        return _by_flex(query, key, value, sight, scores)
    return band_attention(
        query,
        key,
        value,
        left=sight.left,
        right=sight.right,
        offset=sight.offset,
        padding=sight.padding,
        documents=documents,
        **scores.options,
    )


def _is_triangle(sight: Sight, rows: int) -> bool:
    """Whether query ``i`` sees the keys up to ``i`` and no more: what a fused kernel calls causal."""
    return sight.offset == 0 and sight.right == 0 and sight.left >= rows - 1


def _fused(query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool) -> Tensor:
    grouped = key.shape[1] != query.shape[1]
    with without_cudnn(query.device):
        return scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale, enable_gqa=grouped)


def _by_flex(query: Tensor, key: Tensor, value: Tensor, sight: Sight, scores: Scores) -> Tensor:
    """On GPUs from Ampere on; rows of padding come back as zeros."""
    return sliding_window_attention(
        query,
        key,
        value,
        window=(sight.left, sight.right),
        padding=sight.padding,
        offset=sight.offset,
        **scores.options,
    )


def _by_matrix(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """Attend under a mask that has elements: one row in a step of generation, or what the caller made."""
    mask = mask[..., : key.shape[2]]
    if scores.sinks is None and scores.softcap is None:
        query, mask, heads = _packed_heads(query, key, mask)
        if query.shape[1] != key.shape[1]:
            groups = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        with without_cudnn(query.device):
            out = scaled_dot_product_attention(query, key, value, mask, scores.dropout, scale=scores.scale)
        return out if heads is None else out.reshape(len(out), heads, 1, value.shape[-1])
    if scores.dropout:
        raise UnsupportedAttention("sinks and capped scores go without dropout where a mask of all pairs is given")
    attend, bias = (mask, None) if mask.dtype == torch.bool else (None, mask)
    sinks, softcap, scale = scores.sinks, scores.softcap, scores.scale
    return dense_attention(query, key, value, attend=attend, bias=bias, sinks=sinks, softcap=softcap, scale=scale)


def _packed_heads(query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int | None]:
    """Make the heads of a single query that share a key head the rows of that head: no key is repeated."""
    heads, few = query.shape[1], key.shape[1]
    if query.shape[2] > 1 or heads == few:
        return query, mask, None
    query = query.reshape(len(query), few, heads // few, query.shape[-1])
    if mask.shape[1] > 1:
        mask = mask.expand(-1, heads, -1, -1).reshape(len(mask), few, heads // few, mask.shape[-1])
    return query, mask, heads
