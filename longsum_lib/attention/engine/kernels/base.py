"""What the engine asks of a kernel: attention of one piece, a run of blocks against their windows."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Kernel(Protocol):
    """What the engine asks of a kernel.

    Shapes: ``query`` ``(count, heads, rows, dim)``, ``key`` and ``value`` ``(count, heads, keys, dim)``, ``mask``
    additive and broadcastable to ``(count, heads, rows, keys)``, log-sum-exps ``(count, heads, rows)`` in fp32.
    """

    makes_scores: bool
    """Whether ``forward`` and ``backward`` store the scores of the whole call."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        call: tuple[int, int],
        may_be_empty: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return the partial output and its log-sum-exp, ``-inf`` in rows that see no key.

        ``may_be_empty=False`` promises that the mask leaves a key to every row.
        """

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
        """Return the gradients of query, key, value and scores, given the *merged* output and log-sum-exp."""
