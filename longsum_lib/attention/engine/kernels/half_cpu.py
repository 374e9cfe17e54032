"""Plain bf16 products for wide windows on a CPU: twice the fused kernel's rate where the processor multiplies bf16.

The fused kernel computes scores in fp32 and reaches a quarter of the rate of bf16 products. Here a block's scores for
some heads are stored in bf16, near the processor's cache. They are rounded once more than in the fused kernel: the
context is 0.5 instead of 0.4 % off where scores spread by 1, and 1.2 instead of 0.6 % where they spread by 3.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from longsum_lib.attention.engine.kernels import fused_cpu
from longsum_lib.attention.engine.kernels.fused_cpu import FusedCPU
from longsum_lib.upstream.torch import has_half

# Queries of a block, and scores of one head, from which on it is faster. 2,048 queries of 12 heads of 64, AVX512-BF16
# without AMX, one thread, with a mask: blocks of 128 with 1,152 keys 45 to 52 against 107 ms, 512 with 512 25 against
# 42; blocks of 64 with 576 55 against 56. At window ±256 blocks of 128 take 38 to 43 ms. See benchmarks/NOTES.md.
LEAST_ROWS, LEAST_SCORES = 128, 2**15
# Heads of each thread whose products are one call: each call wakes the other threads. How many scores of one head, a
# quarter of a MiB of bf16, unless a block's least rows have more.
HEADS, MOST_SCORES, MOST_KEYS = 6, 2**17, 2048
# Keys from which a row's log-sum-exp is read.
COLUMNS = 16


def can_run(query: Tensor) -> bool:
    """Whether queries are bf16 on a processor that multiplies it, and no gradient will be asked for."""
    return query.dtype == torch.bfloat16 and not torch.is_grad_enabled() and fused_cpu.can_run(query) and has_half()


def block_size(query: Tensor, size: int) -> int:
    """Queries in a block of a window, where a fused kernel would have ``size``."""
    return max(size, LEAST_ROWS) if can_run(query) else size


class HalfCPU(FusedCPU):
    """Products, softmax, products; what does not suit them is left to the fused kernel."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        may_be_empty: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """See :class:`.base.Kernel`."""
        if key.shape[2] == 1 and mask is None:  # one global token: its weight is 1
            total = torch.matmul(query, key.mT).squeeze(-1).float() * self.scale
            # A copy also where one query expands nothing: the engine merges into it.
            return value.expand(-1, -1, query.shape[2], -1).clone(memory_format=torch.contiguous_format), total
        columns = _columns(query, key, mask)
        if columns is not None:
            out, total = self._products(query, key, value, mask, columns)
            if bool(torch.isfinite(total).all()):
                return out, total
        return super().forward(query, key, value, mask, call, may_be_empty)

    def _products(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, columns: slice | Tensor
    ) -> tuple[Tensor, Tensor]:
        count, heads, rows, _ = query.shape
        out = query.new_empty((count, rows, heads, value.shape[-1])).transpose(1, 2)
        total = query.new_empty((count, heads, rows), dtype=torch.float32)
        if mask is not None:
            mask = mask.to(query.dtype).expand(count, 1, rows, key.shape[2])
        step = LEAST_ROWS * max(1, MOST_SCORES // (LEAST_ROWS * key.shape[2]))
        most = HEADS * torch.get_num_threads()
        for block, head, row in itertools.product(range(count), range(0, heads, most), range(0, rows, step)):
            some = slice(head, head + most)
            part = block, some, slice(row, row + step)
            if mask is None:
                scores = torch.bmm(query[part] * self.scale, key[block, some].mT)
            else:
                scores = torch.baddbmm(mask[block, :, part[2]], query[part], key[block, some].mT, alpha=self.scale)
            seen = scores[..., columns].float().logsumexp(-1)
            weights = torch.softmax(scores, -1, out=scores)
            out[part] = torch.bmm(weights, value[block, some])
            # A weight is exp(score - total).
            torch.sub(seen, weights[..., columns].sum(-1, dtype=torch.float32).log_(), out=total[part])
        return out, total


def _columns(query: Tensor, key: Tensor, mask: Tensor | None) -> slice | Tensor | None:
    """Keys that every row sees, as many as are read; ``None`` where they are fewer or the fused kernel is better.

    The latter is for small blocks, for so many keys that the scores of a few rows leave the processor's cache, and
    for a bias of each head's own, which it adds in fp32.
    """
    rows, keys = query.shape[2], key.shape[2]
    suits = rows >= LEAST_ROWS and rows * keys >= LEAST_SCORES and COLUMNS <= keys <= MOST_KEYS
    if not suits or (mask is not None and mask.dim() == 4 and mask.shape[1] > 1):
        return None
    if mask is None:
        return slice(COLUMNS)
    seen = (mask > -torch.inf).flatten(0, -2).all(0)
    found = seen.expand(keys).nonzero().flatten()
    if len(found) < COLUMNS:
        return None
    first = (len(found) - COLUMNS) // 2
    found = found[first : first + COLUMNS]
    apart = int(found[-1] - found[0]) >= COLUMNS
    return found if apart else slice(int(found[0]), int(found[-1]) + 1)
