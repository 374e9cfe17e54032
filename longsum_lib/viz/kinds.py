"""Attention patterns as matrices of kinds: which keys a query sees, and why.

Each function writes down one mechanism's formula for small lengths, for pictures. ``tests/test_viz.py`` holds
them equal to the boolean matrices of :mod:`longsum_lib.attention.patterns`. The codes are those of
:data:`longsum_lib.viz.palette.KINDS`; rows are queries, columns are keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from longsum_lib.viz.palette import GLOBAL, LOCAL, NONE, PADDING, RANDOM, SELECTED


def full_kinds(length: int) -> np.ndarray:
    """Full attention: every query sees every key.

    Args:
        length: Number of tokens.

    Returns:
        ``(length, length)`` int8, all "local" (one kind of key only).
    """
    return np.full((length, length), LOCAL, dtype=np.int8)


def sliding_window_kinds(
    length: int, window: int, global_positions: Iterable[int] = (), real_length: int | None = None
) -> np.ndarray:
    """Sliding window with global tokens (Longformer, LED).

    Query ``i`` sees the keys ``j`` with ``|i - j| <= window`` and every global token; a global query sees all.
    A local query counts a global key once, as "global".

    Args:
        length: Number of tokens.
        window: One-sided radius in tokens.
        global_positions: Positions of the global tokens.
        real_length: Tokens that are not padding; the rest is drawn as padding. ``None`` means all are real.

    Returns:
        ``(length, length)`` int8 of kind codes.
    """
    i, j = _positions(length)
    kinds = np.where(abs(i - j) <= window, LOCAL, NONE).astype(np.int8)
    chosen = sorted(set(global_positions))
    kinds[:, chosen] = GLOBAL
    kinds[chosen, :] = GLOBAL
    if real_length is not None:
        kinds[real_length:, :] = PADDING
        kinds[:, real_length:] = PADDING
    return kinds


def block_local_kinds(length: int, block_size: int, *, shifted: bool = False, num_globals: int = 0) -> np.ndarray:
    """Block-local attention with global tokens of its own (PEGASUS-X).

    Token ``i`` sees the tokens of its own block, ``(i + offset) // block_size``, and all global tokens, which are
    rows and columns of their own before the tokens. On every second layer the offset is half a block.

    Args:
        length: Number of tokens.
        block_size: Tokens a block.
        shifted: Whether this is one of the staggered (odd) layers.
        num_globals: Number of global tokens.

    Returns:
        ``(num_globals + length, num_globals + length)`` int8 of kind codes.
    """
    offset = block_size // 2 if shifted else 0
    i, j = _positions(length)
    same = (i + offset) // block_size == (j + offset) // block_size
    return _with_globals(np.where(same, LOCAL, NONE), num_globals)


def transient_global_kinds(length: int, radius: int, global_block_size: int) -> np.ndarray:
    """Local window with transient global keys (LongT5).

    Query ``i`` sees the keys ``j`` with ``|i - j| <= radius`` and one summary of every block of
    ``global_block_size`` tokens. The summaries are keys only: extra columns, before the tokens, without rows.

    Args:
        length: Number of tokens.
        radius: One-sided radius in tokens.
        global_block_size: Tokens that one summary stands for.

    Returns:
        ``(length, length // global_block_size + length)`` int8 of kind codes.
    """
    i, j = _positions(length)
    local = np.where(abs(i - j) <= radius, LOCAL, NONE)
    side = np.full((length, length // global_block_size), GLOBAL)
    return np.concatenate([side, local], axis=1).astype(np.int8)


def lsg_kinds(
    length: int,
    block_size: int,
    *,
    sparse_block_size: int,
    sparsity_factor: int,
    num_globals: int = 1,
    head: int = 0,
) -> np.ndarray:
    """Local-sparse-global attention (LSG) with strided selection.

    A block of queries sees its own block and both neighbours, all global tokens, and on each side
    ``sparse_block_size`` tokens selected from beyond the neighbours, one in ``sparsity_factor``. Head ``h`` takes
    the tokens ``t * sparsity_factor + h % sparsity_factor``. Global tokens are rows and columns before the tokens.

    Args:
        length: Number of tokens, a multiple of ``block_size``.
        block_size: Tokens a block.
        sparse_block_size: Selected tokens on each side.
        sparsity_factor: One token in this many is selected.
        num_globals: Number of global tokens.
        head: Which head's choice to show.

    Returns:
        ``(num_globals + length, num_globals + length)`` int8 of kind codes.
    """
    step = block_size // sparsity_factor
    block = np.arange(length)[:, None] // block_size
    key = np.arange(length)[None, :]
    is_local = (key >= (block - 1) * block_size) & (key < (block + 2) * block_size)
    slot = key // sparsity_factor
    left = (slot >= (block - 1) * step - sparse_block_size) & (slot < (block - 1) * step)
    right = (slot >= (block + 2) * step) & (slot < (block + 2) * step + sparse_block_size)
    is_selected = (key % sparsity_factor == head % sparsity_factor) & (left | right)
    kinds = np.where(is_local, LOCAL, np.where(is_selected, SELECTED, NONE))
    return _with_globals(kinds, num_globals)


def big_bird_kinds(
    length: int,
    block_size: int,
    *,
    num_random_blocks: int = 3,
    random_blocks: str = "seeded",
    seed: int = 0,
    head: int = 0,
    table: Any = None,
) -> np.ndarray:
    """BigBird: own block and both neighbours, first and last block, and random blocks.

    The first and the last block see everything. The random blocks are those of
    :func:`longsum_lib.attention.patterns.big_bird` and of the models, or of a table. Up to
    ``(5 + 2 * num_random_blocks) * block_size`` tokens every token sees every other, all "local".

    Args:
        length: Number of tokens; the last block may be cut.
        block_size: Tokens a block.
        num_random_blocks: Random blocks that a block of queries sees.
        random_blocks: How they are chosen; see :mod:`longsum_lib.attention.random_blocks`.
        seed: Seed of the draw.
        head: Which head's choice to show.
        table: ``(heads, blocks, r)`` integers, the random blocks of every query block, such as
            ``random_block_table`` returns; drawn in place of the choice that the four arguments before it make.

    Returns:
        ``(length, length)`` int8 of kind codes. A random block that is seen anyway keeps its other kind.

    Raises:
        ValueError: If the table is not of these blocks, or there are too few blocks to choose from.
    """
    count = -(-length // block_size)
    if table is None:
        if length <= (5 + 2 * num_random_blocks) * block_size:
            return full_kinds(length)
        from longsum_lib.attention.random_blocks import random_block_table

        sizes = {"seed": seed, "block_size": block_size}
        table = random_block_table(random_blocks, count, head + 1, num_random_blocks, **sizes)
    table = np.asarray(table)
    if table.ndim != 3 or table.shape[1] != count or table.shape[0] <= head:
        raise ValueError(f"table has shape {table.shape}, expected (more than {head}, {count}, random blocks)")
    row, column = _positions(count)
    blocks = np.full((count, count), NONE, dtype=np.int8)
    np.put_along_axis(blocks, table[head], RANDOM, axis=1)
    blocks[abs(row - column) <= 1] = LOCAL
    blocks[:, [0, -1]] = blocks[[0, -1], :] = GLOBAL
    return blocks.repeat(block_size, axis=0).repeat(block_size, axis=1)[:length, :length]


def _positions(length: int) -> tuple[np.ndarray, np.ndarray]:
    positions = np.arange(length)
    return positions[:, None], positions[None, :]


def _with_globals(kinds: np.ndarray, num_globals: int) -> np.ndarray:
    """Put global rows and columns before the tokens'."""
    return np.pad(kinds, ((num_globals, 0), (num_globals, 0)), constant_values=GLOBAL).astype(np.int8)
