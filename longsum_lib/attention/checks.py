"""What every attention function asks of its tensors, so that a wrong one is named before a kernel sees it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from longsum_lib.attention.key_sets import KeySet

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_tensors(
    dropout: float = 0.0,
    *,
    padding: Tensor | None = None,
    optional: Mapping[str, Tensor | None] = MappingProxyType({}),
    **tensors: Tensor,
) -> None:
    """Check kinds, number formats and devices; shapes are each function's own business.

    Args:
        dropout: probability of dropping an attention weight.
        padding: mask of real tokens, or ``None``.
        optional: more of them, each of which may be ``None``.
        **tensors: query, key, value and so on, by the names of the arguments; the first one sets the example.

    Raises:
        ValueError: if one is no tensor, of another number format or on another device, or ``dropout`` is no
            probability.

    Example:
        >>> check_tensors(query=torch.zeros(1), key=torch.zeros(1).half())
        Traceback (most recent call last):
        ...
        ValueError: query is torch.float32, key is torch.float16; expected one number format, as by key.to(query.dtype)
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}, expected a probability, at least 0 and below 1")
    first, example = next(iter(tensors.items()))
    tensors |= {name: tensor for name, tensor in optional.items() if tensor is not None}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is of type {type(tensor).__name__}, expected a tensor; see torch.as_tensor")
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name} is {tensor.dtype}, expected fp32, bf16, fp16 or fp64; see {name}.float()")
        if tensor.dtype != example.dtype:
            raise ValueError(
                f"{first} is {example.dtype}, {name} is {tensor.dtype}; expected one number format, as by "
                f"{name}.to({first}.dtype)"
            )
    for name, tensor in {**tensors, "padding": padding}.items():
        if tensor is not None and tensor.device != example.device:
            raise ValueError(f"{first} is on {example.device}, {name} on {tensor.device}; move them to one device")


def check_key_sets(query: Tensor, key_sets: Sequence[KeySet], attend: Tensor | None) -> None:
    """Check what :func:`.engine.block_attention` is given.

    Raises:
        ValueError: if there is no key set, or shapes, devices or geometry disagree.
    """
    if not key_sets:
        raise ValueError("block_attention got no key set; give at least one KeySet")
    batch, heads, length, dim = query.shape
    if attend is not None and tuple(attend.shape) != (batch, length):
        raise ValueError(f"attend has shape {tuple(attend.shape)}, expected (batch, length) = {(batch, length)}")
    for keys in key_sets:
        few = keys.key.shape[1]
        expected = (batch, few, keys.key.shape[2], dim)
        if tuple(keys.key.shape) != expected or tuple(keys.value.shape[:3]) != expected[:3] or heads % max(1, few):
            raise ValueError(
                f"key and value have shapes {tuple(keys.key.shape)} and {tuple(keys.value.shape)}; "
                f"with a query of shape {tuple(query.shape)} both must be (batch, heads, keys, head_dim) = {expected}"
            )
        if keys.key.device != query.device:
            raise ValueError(f"query is on {query.device}, key on {keys.key.device}; move them to one device")
        if keys.block_size < 1 or keys.width < 0 or keys.step < 0:
            raise ValueError(
                f"block_size must be >= 1, size and step >= 0; got {keys.block_size}, {keys.width}, {keys.step}"
            )
        if keys.growing and (keys.bias is not None or keys.interleave > 1 or keys.chosen is not None):
            raise ValueError(
                "a growing key set takes no bias, interleave or chosen blocks; give them in a set of their own"
            )
        if keys.interleave < 1 or (keys.interleave > 1 and (keys.step or keys.offset)):
            raise ValueError(
                f"interleave is {keys.interleave} with step {keys.step} and offset {keys.offset}; "
                "expected interleave >= 1, and step and offset 0 where it is more than 1"
            )
        if keys.chosen is not None:
            _check_chosen(keys)
        elif keys.bias is not None:
            _check_bias(keys)


def _check_bias(keys: KeySet) -> None:
    shape, width = tuple(keys.bias.shape), keys.width
    if len(shape) == 3 and shape[-1] == keys.block_size + width - 1:
        return
    if len(shape) != 5 or shape[-1] != width:
        raise ValueError(
            f"bias has shape {shape}, expected 5 dimensions broadcastable to (batch, heads, blocks, block_size, size), "
            f"with size = {width}, or 3 with block_size + size - 1 = {keys.block_size + width - 1} last"
        )


def _check_chosen(keys: KeySet) -> None:
    shape, heads = tuple(keys.chosen.shape), keys.key.shape[1]
    if len(shape) != 3 or shape[0] not in (1, heads) or keys.bias is not None or keys.interleave > 1 or keys.step:
        raise ValueError(
            f"chosen has shape {shape}, expected (heads | 1, blocks, count) with {heads} heads, "
            "and no bias, step or interleave beside it"
        )


def check_window_arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    is_global: Tensor | None,
    padding: Tensor | None,
    sinks: Tensor | None,
    cu_seqlens: Tensor | None,
    offset: int | None,
) -> int:
    """Check the tensors of a window attention against each other, and return the position of its first query.

    Raises:
        ValueError: if shapes or kinds disagree, or options exclude each other.
    """
    _check_window_shapes(query, key, value)
    batch, length, keys = query.shape[0], query.shape[2], key.shape[2]
    for name, mask in (("is_global", is_global), ("padding", padding)):
        if mask is None:
            continue
        if mask.dtype != torch.bool:
            raise ValueError(f"{name} has dtype {mask.dtype}, expected torch.bool; pass {name}.bool()")
        if mask.shape != (batch, keys):
            raise ValueError(f"{name} has shape {tuple(mask.shape)}, expected (batch, length) = {(batch, keys)}")
    if sinks is not None and tuple(sinks.shape) != (query.shape[1],):
        raise ValueError(f"sinks has shape {tuple(sinks.shape)}, expected one score a head: {(query.shape[1],)}")
    place = keys - length if offset is None else offset
    if place < 0 or place + length > keys:
        raise ValueError(
            f"offset is {place} with {length} queries and {keys} keys; expected at most {keys - length} and not less "
            "than 0: each query stands at a key"
        )
    if is_global is not None and (keys != length or cu_seqlens is not None):
        raise ValueError("is_global goes neither with cu_seqlens nor with more keys than queries; leave one out")
    if cu_seqlens is not None:
        _check_documents(cu_seqlens, batch, length, keys)
    return place


def _check_window_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in (query, key, value)]
    fit = query.dim() == key.dim() == 4 and key.shape == value.shape
    fit = fit and query.shape[0] == key.shape[0] and query.shape[-1] == key.shape[-1]
    fit = fit and (key.shape[1] == query.shape[1] or (key.shape[1] > 0 and query.shape[1] % key.shape[1] == 0))
    if not fit:
        raise ValueError(
            f"query, key and value have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; all three must be "
            "(batch, heads, length, head_dim), the heads of keys and values those of queries or a divisor"
        )


def _check_documents(cu_seqlens: Tensor, batch: int, length: int, keys: int) -> None:
    if batch != 1 or keys != length:
        raise ValueError(
            f"cu_seqlens needs a batch of 1 and as many keys as queries, got a batch of {batch}, {length} queries and "
            f"{keys} keys; documents are packed into one sequence"
        )
    edges = cu_seqlens.tolist() if cu_seqlens.dim() == 1 and not cu_seqlens.is_floating_point() else []
    if not edges or edges[0] != 0 or edges[-1] != length or any(a > b for a, b in itertools.pairwise(edges)):
        raise ValueError(
            f"cu_seqlens is {edges or tuple(cu_seqlens.shape)}, expected integers from 0 up to the length, {length}"
        )
