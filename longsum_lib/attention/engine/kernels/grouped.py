"""Grouped queries: several query heads read the same key head, and no key is ever repeated in memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from longsum_lib.attention.engine.kernels.base import Kernel


class Grouped:
    """A kernel of equal heads, called for one query head a key head at a time; see :class:`.base.Kernel`.

    Query head ``h`` reads key head ``h // groups``. There are as many calls as groups, each with a view of every
    ``groups``-th query head; or, where there are fewer key heads, as many as key heads, each with a view that shows
    its key head ``groups`` times. With equal heads it is the kernel itself.
    """

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.makes_scores = kernel.makes_scores

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        may_be_empty: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """See :class:`.base.Kernel`; ``key`` and ``value`` have fewer heads than ``query``."""
        heads, few = query.shape[1], key.shape[1]
        if heads == few:
            return self.kernel.forward(query, key, value, mask, call, may_be_empty)
        count, _, rows, _ = query.shape
        # The heads of a row side by side, as the fused kernel leaves them.
        out = query.new_empty(count, rows, heads, value.shape[-1]).transpose(1, 2)
        work = torch.promote_types(query.dtype, torch.float32)
        total = torch.empty(count, heads, rows, dtype=work, device=query.device)
        for number, (mine, theirs, groups) in enumerate(_shares(heads, few)):
            keys, values = (_shown(t[:, theirs], groups) for t in (key, value))
            numbered = (call[0], call[1] * heads + number)
            out[:, mine], total[:, mine] = self.kernel.forward(
                query[:, mine], keys, values, _heads_of(mask, mine), numbered, may_be_empty
            )
        return out, total

    def backward(
        self,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        out: Tensor,
        total: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        needs_bias: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """See :class:`.base.Kernel`; the gradients of keys and values have their few heads."""
        heads, few = query.shape[1], key.shape[1]
        if heads == few:
            return self.kernel.backward(grad, query, key, value, out, total, mask, call, needs_bias)
        work = torch.promote_types(query.dtype, torch.float32)
        grad_query = torch.empty(query.shape, dtype=work, device=query.device)
        grad_key, grad_value = (torch.zeros(t.shape, dtype=work, device=t.device) for t in (key, value))
        grad_bias = None
        for number, (mine, theirs, groups) in enumerate(_shares(heads, few)):
            keys, values = (_shown(t[:, theirs], groups) for t in (key, value))
            numbered = (call[0], call[1] * heads + number)
            parts = self.kernel.backward(
                *(grad[:, mine], query[:, mine], keys, values, out[:, mine], total[:, mine].contiguous()),
                *(_heads_of(mask, mine), numbered, needs_bias),
            )
            grad_query[:, mine] = parts[0].to(work)
            for target, part in ((grad_key, parts[1]), (grad_value, parts[2])):
                target[:, theirs] += part.sum(1, keepdim=True, dtype=work) if groups > 1 else part
            if parts[3] is not None:
                if grad_bias is None:
                    grad_bias = parts[3].new_empty(query.shape[0], heads, *parts[3].shape[2:])
                grad_bias[:, mine] = parts[3]
        return grad_query, grad_key, grad_value, grad_bias


def _shares(heads: int, few: int) -> Iterator[tuple[slice, slice, int]]:
    """Yield the query heads and the key heads of each call, and how often a key head is shown."""
    groups = heads // few
    if few < groups:
        for head in range(few):
            yield slice(head * groups, (head + 1) * groups), slice(head, head + 1), groups
    else:
        for group in range(groups):
            yield slice(group, None, groups), slice(None), 1


def _shown(tensor: Tensor, groups: int) -> Tensor:
    """View one key head ``(count, 1, keys, dim)`` as ``groups`` heads."""
    return tensor if groups == 1 else tensor.expand(-1, groups, -1, -1)


def _heads_of(mask: Tensor | None, heads: slice) -> Tensor | None:
    return mask if mask is None or mask.dim() < 4 or mask.shape[1] == 1 else mask[:, heads]
