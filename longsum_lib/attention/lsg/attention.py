"""Local, sparse and global attention: the mechanism of LSG.

The sequence begins with global tokens. Behind them every block of queries sees itself and its two neighbours, the
global tokens, and on each side a window of a coarser copy of the document (:mod:`.lsg.sparse`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longsum_lib.attention import patterns
from longsum_lib.attention.arguments import (
    check_backend,
    check_mask,
    check_number,
    check_shapes,
    check_tensors,
    scale_of,
)
from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.key_sets import KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.lsg.sparse import Hashes, SparseKeys, Sparsity, check_geometry, draw_hashes, select
from longsum_lib.attention.reference import dense_attention
from longsum_lib.upstream.torch import tracing

# Queries that attend to the global keys in one kernel call.
ROWS_TO_GLOBALS = 4096


def lsg_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    num_global_tokens: int = 1,
    block_size: int = 128,
    sparse_block_size: int = 128,
    sparsity_factor: int = 2,
    sparsity_type: str | None = "norm",
    padding: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    lsh_num_pre_rounds: int = 1,
    generator: torch.Generator | None = None,
    hashes: Hashes | None = None,
    mask_empty_groups: bool = True,
    strict_geometry: bool = True,
    backend: str = "auto",
) -> Tensor:
    r"""Attend to three blocks, to selected keys on both sides of them, and to the global tokens.

    With block size :math:`b`, factor :math:`f`, step :math:`s = b/f` and :math:`w` sparse keys on each side, a token of
    block :math:`i` sees the global tokens, the tokens :math:`[(i-1)b, (i+2)b)` and the sparse keys
    :math:`[(i-1)s - w, (i-1)s) \cup [(i+2)s, (i+2)s + w)`. Global tokens see everything. Up to :math:`2b` tokens,
    every token sees every other and there are no sparse keys.

    Args:
        query: ``(batch, heads, globals + length, head_dim)``, the global tokens first; fp32, bf16 or fp16.
        key: same shape.
        value: same shape.
        num_global_tokens: how many of the rows are global tokens.
        block_size: tokens in a block.
        sparse_block_size: sparse keys on each side; 0 = none.
        sparsity_factor: tokens that one sparse key stands for; divides ``block_size``; 0 = no sparse keys.
        sparsity_type: how sparse keys are made: ``"norm"`` (the keys of largest norm), ``"pooling"`` (means),
            ``"bos_pooling"`` (means weighted by the first token's attention), ``"stride"`` and ``"block_stride"``
            (every head takes other tokens), ``"lsh"`` (means of keys in similar directions), ``"none"``.
        padding: ``(batch, length)`` bool, ``True`` for real tokens, wherever they stand; global tokens are always real.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        dropout: probability of dropping an attention weight.
        lsh_num_pre_rounds: rounds of hashing before the last one, for ``"lsh"``.
        generator: draws the directions for ``"lsh"``; ``None`` = torch's global generator.
        hashes: directions that were drawn before (:func:`.lsg.sparse.draw_hashes`), instead of a generator.
        mask_empty_groups: hide sparse keys that stand for padding only. ``False`` shows them in ``"bos_pooling"`` as
            the published code does, and computes the rows of padding like any other, since they can then be seen.
        strict_geometry: refuse sizes where the published code fails or shows the wrong sparse keys.
        backend: ``"reference"`` (dense oracle), ``"blocked"`` or ``"auto"``.

    Returns:
        ``(batch, heads, globals + length, head_dim)`` in the dtype of ``query``; zeros in the rows of padding (unless
        ``mask_empty_groups=False``).

    Raises:
        ValueError: if shapes, number formats or devices disagree, or the sizes or the backend cannot do what is asked.

    Cost:
        time ``O(length · (3 · block_size + 2 · sparse_block_size + globals))``; extra memory: the output and the sparse
        keys, ``length / sparsity_factor`` rows.

    Source:
        Condevaux and Harispe 2022, section 3, and the published code. Here no input is padded to a block. The
        published code adds the lowest finite number to scores that are masked, here they do not exist.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 101, 8)
        >>> lsg_attention(q, k, v, block_size=16, sparse_block_size=16).shape
        torch.Size([1, 2, 101, 8])
    """
    check_tensors(dropout, padding=padding, query=query, key=key, value=value)
    check_shapes(query, key, value, rows="globals + length")
    batch, _, rows, _ = query.shape
    check_number("num_global_tokens", num_global_tokens, 0, rows, note=", the rows of query")
    check_mask("padding", padding, batch, rows - num_global_tokens, note=": it does not count the global tokens")
    check_backend(backend, dropout)
    sparsity = check_geometry(sparsity_type, block_size, sparse_block_size, sparsity_factor, strict=strict_geometry)
    scale = scale_of(query, scale)
    if sparsity is not None and sparsity.method == "lsh" and hashes is None:
        hashes = draw_hashes(
            sparsity,
            query.shape[1],
            query.shape[3],
            pre_rounds=lsh_num_pre_rounds,
            generator=generator,
            device=query.device,
        )
    task = _Task(num_global_tokens, block_size, sparsity, padding, scale, hashes, mask_empty_groups)
    if backend == "reference":
        return _reference(query, key, value, task)
    if tracing() and not dropout:
        return _traced(query, key, value, task)
    return _blocked(query, key, value, task, dropout)


@dataclass(frozen=True)
class _Task:
    """What is asked for, checked; ``padding`` counts tokens only."""

    num_global_tokens: int
    block_size: int
    sparsity: Sparsity | None
    padding: Tensor | None
    scale: float
    hashes: Hashes | None
    mask_empty_groups: bool

    def real_rows(self) -> Tensor | None:
        """``(batch, globals + length)``: which rows are real."""
        padding, count = self.padding, self.num_global_tokens
        if padding is None:
            return None
        asked = ("with globals", count)
        return fact(asked, (padding,), lambda: torch.nn.functional.pad(padding, (count, 0), value=True))

    def sparse_keys(self, sparsity: Sparsity, query: Tensor, key: Tensor, value: Tensor) -> SparseKeys:
        """Select from the tokens of ``(batch, heads, globals + length, head_dim)``."""
        first = self.num_global_tokens
        return select(
            sparsity,
            query[:, :, first : first + 1],
            key[:, :, first:],
            value[:, :, first:],
            self.padding,
            hashes=self.hashes,
            scale=self.scale,
            mask_empty_groups=self.mask_empty_groups,
        )


def _blocked(query: Tensor, key: Tensor, value: Tensor, task: _Task, dropout: float) -> Tensor:
    count, rows = task.num_global_tokens, query.shape[2]
    real = task.real_rows()
    if rows - count <= 2 * task.block_size:
        keys = KeySet(key, value, max(1, rows), attend=real)
        return block_attention(query, [keys], scale=task.scale, attend=real, dropout=dropout)
    sets = _token_sets(query, key, value, task)
    if count:
        only = ((0, count),) * query.shape[0]
        sets.append(KeySet(key, value, count, attend=real, asking=only))
    asking = real if task.mask_empty_groups else None
    return block_attention(query, sets, scale=task.scale, attend=asking, dropout=dropout)


def _token_sets(query: Tensor, key: Tensor, value: Tensor, task: _Task) -> list[KeySet]:
    """Key sets of the rows behind the global ones.

    The engine counts blocks from row 0, so that ``ahead`` blocks, the first of them cut, lie over the global rows, and
    block ``ahead`` is the first one of tokens.
    """
    count, size, sparsity = task.num_global_tokens, task.block_size, task.sparsity
    ahead = -(-count // size)
    offset = ahead * size - count
    tokens = ((count, query.shape[2]),) * query.shape[0]
    local = KeySet(
        key[:, :, count:],
        value[:, :, count:],
        size,
        3 * size,
        start=-(ahead + 1) * size,
        step=size,
        offset=offset,
        attend=task.padding,
        asking=tokens,
    )
    sets = [local]
    if sparsity is not None:
        sparse = task.sparse_keys(sparsity, query, key, value)
        blocks = -(-(query.shape[2] + offset) // size)
        for start in (-sparsity.step - sparsity.width, 2 * sparsity.step):
            sets.append(_window(sparse, sparsity, start - ahead * sparsity.step, blocks, offset, tokens))
    if count:
        sets.append(KeySet(key[:, :, :count], value[:, :, :count], ROWS_TO_GLOBALS, asking=tokens))
    return sets


def _window(
    sparse: SparseKeys, sparsity: Sparsity, start: int, blocks: int, offset: int, asking: tuple[tuple[int, int], ...]
) -> KeySet:
    """A window of the sparse sequence; block 0 sees the slots from ``start`` on."""
    attend, bias = sparse.attend, None
    if attend is not None and attend.shape[1] == 1:
        attend = attend[:, 0]
    elif attend is not None:  # heads chose differently: their masks become scores, seen through the same windows
        bias, attend = _slot_bias(attend, sparsity, start, blocks), None
    return KeySet(
        sparse.key,
        sparse.value,
        sparsity.block_size,
        sparsity.width,
        start=start,
        step=sparsity.step,
        offset=offset,
        bias=bias,
        attend=attend,
        asking=asking,
    )


def _slot_bias(attend: Tensor, sparsity: Sparsity, start: int, blocks: int) -> Tensor:
    """Scores 0 and ``-inf`` of a mask ``(batch, heads, slots)``, seen through the blocks' windows.

    Returns a view ``(batch, heads, blocks, 1, width)`` of one row a head.
    """
    batch, heads, slots = attend.shape
    before = max(0, -start)
    end = start + (blocks - 1) * sparsity.step + sparsity.width
    after = max(0, end - slots)
    row = torch.zeros(attend.shape, device=attend.device).masked_fill_(~attend, -torch.inf)
    row = torch.nn.functional.pad(row, (before, after))
    strides = (row.stride(0), row.stride(1), sparsity.step, 0, 1)
    shape = (batch, heads, blocks, 1, sparsity.width)
    return row.as_strided(shape, strides, row.storage_offset() + before + start)


def _reference(query: Tensor, key: Tensor, value: Tensor, task: _Task) -> Tensor:
    """The dense oracle over all keys and all sparse keys."""
    count, block_size, sparsity = task.num_global_tokens, task.block_size, task.sparsity
    length = query.shape[2] - count
    sees = patterns.lsg(length, block_size, num_global_tokens=count).to(query.device)[None, None]
    real = task.real_rows()
    if real is not None:
        sees = sees & real[:, None, None, :]
    if sparsity is not None and length > 2 * block_size:
        sparse = task.sparse_keys(sparsity, query, key, value)
        slots = patterns.lsg_slots(
            length,
            block_size,
            sparse_block_size=sparsity.width,
            sparsity_factor=sparsity.factor,
            slots=sparse.key.shape[2],
        )
        slots = torch.nn.functional.pad(slots, (0, 0, count, 0), value=False).to(query.device)[None, None]
        if sparse.attend is not None:
            slots = slots & sparse.attend[:, :, None, :]
        shape = torch.broadcast_shapes(sees.shape[:2], slots.shape[:2])
        sees = torch.cat([sees.expand(*shape, -1, -1), slots.expand(*shape, -1, -1)], -1)
        key, value = torch.cat([key, sparse.key], 2), torch.cat([value, sparse.value], 2)
    if real is not None and task.mask_empty_groups:
        sees = sees & real[:, None, :, None]
    return dense_attention(query, key, value, attend=sees, scale=task.scale)


def _traced(query: Tensor, key: Tensor, value: Tensor, task: _Task) -> Tensor:
    hashes, sparsity = task.hashes, task.sparsity
    return _lsg_operator(
        query,
        key,
        value,
        task.padding,
        None if hashes is None else hashes.rounds,
        None if hashes is None else hashes.last,
        task.num_global_tokens,
        task.block_size,
        0 if sparsity is None else sparsity.width,
        0 if sparsity is None else sparsity.factor,
        "none" if sparsity is None else sparsity.kind,
        task.scale,
        task.mask_empty_groups,
    )


@opaque("lsg")
def _lsg_operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    rounds: Tensor | None,
    last: Tensor | None,
    num_global_tokens: int,
    block_size: int,
    sparse_block_size: int,
    sparsity_factor: int,
    sparsity_type: str,
    scale: float,
    mask_empty_groups: bool,
) -> Tensor:
    return lsg_attention(
        query,
        key,
        value,
        num_global_tokens=num_global_tokens,
        block_size=block_size,
        sparse_block_size=sparse_block_size,
        sparsity_factor=sparsity_factor,
        sparsity_type=sparsity_type,
        padding=padding,
        scale=scale,
        hashes=None if rounds is None or last is None else Hashes(rounds, last),
        mask_empty_groups=mask_empty_groups,
        strict_geometry=False,
        backend="blocked",
    )
