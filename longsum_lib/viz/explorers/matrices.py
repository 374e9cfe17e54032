"""What the explorers draw, computed in Python from :mod:`longsum_lib.attention.patterns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from longsum_lib.attention import patterns
from longsum_lib.viz.palette import GLOBAL, LOCAL, NONE, RANDOM, SELECTED


def kinds(config: Mapping[str, Any]) -> np.ndarray:
    """Return the matrix of kinds that the mask explorer draws.

    Args:
        config: ``mechanism``, ``length`` and the mechanism's own sizes, named as in ``assets/mechanisms.json``.

    Returns:
        ``(rows, columns)`` int8, codes of :data:`longsum_lib.viz.palette.KINDS`. Global tokens of PEGASUS-X and LSG are
        rows and columns in front, transient tokens of LongT5 columns in front.
    """
    return _MAKERS[config["mechanism"]](**config)


def reach(config: Mapping[str, Any], layers: int) -> np.ndarray:
    """Return which inputs can influence which outputs of a stack of layers, all heads together.

    Args:
        config: as for :func:`kinds`; ``heads`` heads choose for themselves where heads differ.
        layers: number of layers; those of PEGASUS-X alternate, those of BigBird draw for themselves.

    Returns:
        ``(rows, rows)`` bool, global tokens with rows of their own in front.
    """
    return patterns.reach([torch.from_numpy(layer(config, index)) for index in range(layers)]).numpy()


def layer(config: Mapping[str, Any], index: int) -> np.ndarray:
    """Return who sees whom in layer ``index``, all heads together: ``(rows, rows)`` bool."""
    one = {**config, "layer": index % 2, "seed": index + 1009 * config.get("seed", 0)}
    if config["mechanism"] == "transient_global":
        length, size = config["length"], config["block_size"]
        sees = patterns.transient_global(length, config["window"], size)
        by_blocks = sees[:, length:].float() @ patterns.transient_blocks(length, size).float() > 0
        return (sees[:, :length] | by_blocks).numpy()
    differ = config["mechanism"] == "big_bird" or (
        config["mechanism"] == "lsg" and config["sparsity_type"].endswith("stride")
    )
    heads = range(config.get("heads", 1) if differ else 1)
    seen: np.ndarray = np.any([kinds({**one, "head": head}) != NONE for head in heads], axis=0)
    return seen


def _full(length: int, **_: Any) -> np.ndarray:
    return np.where(patterns.full(length).numpy(), LOCAL, NONE).astype(np.int8)


def _sliding_window(length: int, window: int, num_globals: int, **_: Any) -> np.ndarray:
    is_global = torch.arange(length) < num_globals
    sees = patterns.sliding_window(length, window, is_global=is_global).numpy()
    either = (is_global[:, None] | is_global[None, :]).numpy()
    return np.where(sees, np.where(either, GLOBAL, LOCAL), NONE).astype(np.int8)


def _local(length: int, window: int, **_: Any) -> np.ndarray:
    return np.where(patterns.window(length, window).numpy(), LOCAL, NONE).astype(np.int8)


def _block_local(length: int, block_size: int, num_globals: int, layer: int, **_: Any) -> np.ndarray:
    sees = patterns.block_local(length, block_size, stagger=bool(layer % 2), num_globals=num_globals).numpy()
    return _frame(np.where(sees, LOCAL, NONE), num_globals)


def _transient_global(length: int, window: int, block_size: int, **_: Any) -> np.ndarray:
    sees = patterns.transient_global(length, window, block_size).numpy()
    tokens, transient = np.where(sees[:, :length], LOCAL, NONE), np.where(sees[:, length:], GLOBAL, NONE)
    return np.concatenate([transient, tokens], axis=1).astype(np.int8)


def _lsg(length: int, block_size: int, num_globals: int, head: int, **config: Any) -> np.ndarray:
    sparse = {name: config[name] for name in ("sparse_block_size", "sparsity_factor", "sparsity_type")}
    sees = patterns.lsg(length, block_size, num_global_tokens=num_globals, head=head, **sparse).numpy()
    near = patterns.lsg(length, block_size, num_global_tokens=num_globals).numpy()
    return _frame(np.where(near, LOCAL, np.where(sees, SELECTED, NONE)), num_globals)


def _big_bird(length: int, block_size: int, num_random_blocks: int, **config: Any) -> np.ndarray:
    random = {name: config[name] for name in ("random_blocks", "seed", "head")}
    sees = patterns.big_bird(length, block_size, num_random_blocks=num_random_blocks, **random).numpy()
    if length <= (5 + 2 * num_random_blocks) * block_size:
        return np.where(sees, LOCAL, NONE).astype(np.int8)
    block = np.arange(length) // block_size
    end = (block == 0) | (block == block[-1])
    near = abs(block[:, None] - block[None, :]) <= 1
    why = np.where(end[:, None] | end[None, :], GLOBAL, np.where(near, LOCAL, RANDOM))
    return np.where(sees, why, NONE).astype(np.int8)


def _frame(codes: np.ndarray, num_globals: int) -> np.ndarray:
    """Mark the global tokens' rows and columns, which stand in front."""
    codes[:num_globals] = GLOBAL
    codes[:, :num_globals] = GLOBAL
    return codes.astype(np.int8)


_MAKERS: dict[str, Callable[..., np.ndarray]] = {
    "full": _full,
    "sliding_window": _sliding_window,
    "local": _local,
    "block_local": _block_local,
    "transient_global": _transient_global,
    "lsg": _lsg,
    "big_bird": _big_bird,
}
