"""What the engine asks of its key sets."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from longsum_lib.attention.engine.key_sets import KeySet


def check_key_sets(query: Tensor, key_sets: Sequence[KeySet], attend: Tensor | None) -> None:
    """Check what :func:`.attend.block_attention` is given.

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
