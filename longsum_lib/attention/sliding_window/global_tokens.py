"""Global tokens: where they are, as keys of local queries, and their rows put back in their places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.key_sets import KeySet
from longsum_lib.attention.engine.pieces import most_rows


def global_positions(is_global: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the global tokens of each sequence, padded to the largest number in the batch.

    Args:
        is_global: ``(batch, length)`` bool.

    Returns:
        Positions ``(batch, globals)`` int64 and which of them exist ``(batch, globals)`` bool; not to be changed.
    """
    return fact("global positions", (is_global,), lambda: _positions(is_global))


def _positions(is_global: Tensor) -> tuple[Tensor, Tensor]:
    counts = is_global.sum(1)
    most = int(counts.max()) if counts.numel() else 0
    positions = is_global.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    exists = torch.arange(most, device=is_global.device) < counts[:, None]
    return positions, exists


def real_globals(is_global: Tensor, padding: Tensor | None) -> Tensor:
    """Return which tokens are global and real, ``(batch, length)`` bool, from masks of that shape."""
    if padding is None:
        return is_global
    return fact("real globals", (is_global, padding), lambda: is_global & padding)


def gather_rows(tensor: Tensor, positions: Tensor) -> Tensor:
    """Rows of ``(batch, heads, length, dim)`` at ``(batch, globals)``: ``(batch, heads, globals, dim)``."""
    batch = torch.arange(len(positions), device=positions.device)[:, None]
    return tensor.transpose(1, 2)[batch, positions].transpose(1, 2)  # `gather` would keep the whole tensor for autograd


@dataclass(frozen=True)
class GlobalKeys:
    """Global tokens as local queries see them; made once, then used by every run of queries.

    Attributes:
        key: ``(batch, heads, globals, head_dim)``.
        value: same shape.
        positions: ``(batch, globals)`` int64.
        exists: ``(batch, globals)`` bool, ``False`` where a sequence has fewer global tokens than others.
    """

    key: Tensor
    value: Tensor
    positions: Tensor
    exists: Tensor

    @classmethod
    def at(cls, key: Tensor, value: Tensor, positions: Tensor, exists: Tensor) -> GlobalKeys:
        """Take them out of all keys and values, ``(batch, heads, length, head_dim)``."""
        return cls(gather_rows(key, positions), gather_rows(value, positions), positions, exists)

    def within(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Return positions counted from ``first`` on, and which of them lie before ``end``."""

        def find() -> tuple[Tensor, Tensor]:
            positions = self.positions - first
            return positions, self.exists & (positions >= 0) & (positions < end - first)

        return fact(("within", first, end), (self.positions, self.exists), find)

    def as_key_set(self, window: int, length: int, first: int = 0, right: int | None = None) -> KeySet:
        """Key set for ``length`` queries from position ``first`` on; the window counts near pairs already."""
        right = window if right is None else right
        rows = max(1, min(length, most_rows(self.key.device)))
        blocks = -(-length // rows)

        def find() -> Tensor:
            query = first + torch.arange(blocks * rows, device=self.key.device).view(1, blocks, rows, 1)
            ahead = self.positions[:, None, None, :] - query
            near = (ahead >= -window) & (ahead <= right)
            hidden = near | ~self.exists[:, None, None, :]  # (b, blocks, rows, globals)
            return torch.zeros(hidden.shape, device=self.key.device).masked_fill_(hidden, -torch.inf).unsqueeze(1)

        bias = fact(("far globals", window, right, length, first), (self.positions, self.exists), find)
        return KeySet(self.key, self.value, rows, bias=bias)


def put_rows(out: Tensor, rows: Tensor, positions: Tensor, exists: Tensor) -> Tensor:
    """Put ``rows`` ``(batch, heads, globals, dim)`` into ``out`` ``(batch, heads, length, dim)`` at their positions.

    In place where autograd does not watch, else in a copy.
    """
    batch, slot = fact("places", (exists,), lambda: exists.nonzero(as_tuple=True))
    target = (batch, slice(None), positions[batch, slot])
    values = rows[batch, :, slot]  # (existing globals, heads, dim)
    if torch.is_grad_enabled() and (out.requires_grad or rows.requires_grad):
        out = out.clone(memory_format=torch.preserve_format)
    out[target] = values.to(out.dtype)
    return out
