"""Three blocks, the two ends of the document and random blocks: the attention of BigBird."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from longsum_lib.attention import patterns
from longsum_lib.attention.arguments import (
    check_backend,
    check_choice,
    check_mask,
    check_number,
    check_shapes,
    check_tensors,
    scale_of,
)
from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.engine.key_sets import ChosenKeySet, Keys, KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.random_blocks import KINDS, random_block_table
from longsum_lib.attention.reference import dense_attention
from longsum_lib.upstream.torch import tracing

LAST_BLOCKS = ("input", "document")

# Queries that attend to the two ends in one kernel call.
ROWS_TO_ENDS = 4096

# Queries in a block where everything is seen: a kernel that stores scores stores those of a block at least.
ROWS_OF_SHORT = 1024


def big_bird_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    block_size: int = 64,
    num_random_blocks: int = 3,
    random_blocks: str = "reference",
    seed: int = 0,
    max_length: int = 4096,
    padding: Tensor | None = None,
    last_block: str = "input",
    scale: float | None = None,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    r"""Attend to three blocks, to both ends of the document, and to random blocks; the ends attend to everything.

    With blocks :math:`0, \dots, n - 1`, block :math:`0 < q < n - 1` sees the blocks
    :math:`\{q - 1, q, q + 1\} \cup \{0, n - 1\}` once each and :math:`r` random blocks. Up to
    :math:`(5 + 2r) \cdot` ``block_size`` tokens every token sees every other.

    What "random" means is the caller's choice. The published PyTorch code draws nothing in evaluation mode: its random
    blocks are all block 0, so that the keys of block 0, which are seen anyway, count :math:`1 + r` times, as if
    :math:`\ln(1 + r)` were added to their scores. ``"reference"`` reproduces this, without copying any key;
    ``"seeded"`` is what the paper describes. See :mod:`.random_blocks`. Published checkpoints were trained with
    random blocks, so both run; results differ.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16.
        key: same shape.
        value: same shape.
        block_size: tokens in a block.
        num_random_blocks: random blocks of each query block, ``r``; may be 0.
        random_blocks: ``"reference"``, ``"reference-training"`` or ``"seeded"``.
        seed: of the draw; for ``"reference-training"`` the number of the layer.
        max_length: positions that the model has, which ``"reference-training"`` depends on.
        padding: ``(batch, length)`` bool, ``True`` for real tokens; the others neither see nor are seen.
        last_block: which block is the last one and which lengths are short: ``"input"`` counts the padding, as the
            published code does; ``"document"`` ends each document at its last real token, so that padding behind it
            changes nothing.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        dropout: probability of dropping an attention weight.
        backend: ``"reference"`` (dense oracle), ``"blocked"`` (any device) or ``"auto"``.

    Returns:
        ``(batch, heads, length, head_dim)`` in the dtype of ``query``; zeros in the rows of padding.

    Raises:
        ValueError: if shapes, number formats or devices disagree, or sizes, names or the backend are unknown.

    Cost:
        time ``O(length · block_size · (5 + r))``, the two ends included; extra memory: the output and, for random
        blocks, copies of the keys of a thousand queries at a time.

    Source:
        Zaheer et al. 2020, sections 2 and 3 ("internal" global tokens). The published code adds -10,000 to scores that
        are masked; here they do not exist. It pads the input to whole blocks; here the last block is cut.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 101, 8)
        >>> big_bird_attention(q, k, v, block_size=8, num_random_blocks=2, random_blocks="seeded").shape
        torch.Size([1, 2, 101, 8])
    """
    check_tensors(dropout, padding=padding, query=query, key=key, value=value)
    check_shapes(query, key, value)
    check_mask("padding", padding, query.shape[0], query.shape[2])
    check_backend(backend, dropout)
    task = BigBird(block_size, num_random_blocks, random_blocks, seed, max_length, last_block)
    task.check()
    scale = scale_of(query, scale)
    if backend == "reference":
        return _by_document(partial(_reference, task=task, scale=scale), (query, key, value), padding, task)
    if tracing() and not dropout:
        given = (block_size, num_random_blocks, random_blocks, seed, max_length, last_block)
        return _operator(query, key, value, padding, *given, scale)
    return _by_document(partial(_blocked, task=task, scale=scale, dropout=dropout), (query, key, value), padding, task)


@dataclass(frozen=True)
class BigBird:
    """The sizes of one attention; fields as in :func:`big_bird_attention`."""

    block_size: int
    num_random_blocks: int
    random_blocks: str
    seed: int
    max_length: int
    last_block: str

    def check(self) -> None:
        """Raise ``ValueError`` where a field makes no sense."""
        check_number("block_size", self.block_size, 1)
        check_number("num_random_blocks", self.num_random_blocks, 0)
        check_choice("random_blocks", self.random_blocks, KINDS)
        check_choice("last_block", self.last_block, LAST_BLOCKS)

    def is_short(self, length: int) -> bool:
        """Whether an input of this many tokens is attended to in full."""
        return length <= (5 + 2 * self.num_random_blocks) * self.block_size

    def last_block_start(self, length: int) -> int:
        """First token of the last block, which the length may cut."""
        return (length - 1) // self.block_size * self.block_size

    def is_near(self, length: int, padding: Tensor | None) -> bool:
        """Whether a long input's tokens see nothing far away but its two ends, the same for a whole batch."""
        random = self.num_random_blocks > 0 and self.random_blocks != "reference"
        return not (self.is_short(length) or random or (padding is not None and self.last_block == "document"))

    def table(self, length: int, heads: int, device: torch.device) -> Tensor:
        """Random blocks ``(heads, blocks, r)`` of a long input."""
        return random_block_table(
            self.random_blocks,
            -(-length // self.block_size),
            heads,
            self.num_random_blocks,
            seed=self.seed,
            block_size=self.block_size,
            max_length=self.max_length,
        ).to(device)

    def counts(self, length: int, heads: int, device: torch.device) -> Tensor:
        """How often each query counts each key: ``(heads | 1, length, length)`` int64."""
        if self.is_short(length):
            return torch.ones(1, length, length, dtype=torch.int64, device=device)
        table = self.table(length, heads, torch.device("cpu"))
        return patterns.big_bird_counts(length, self.block_size, table).to(device)


def _by_document(
    attend: Callable[[Sequence[Tensor], Tensor | None], Tensor],
    tensors: Sequence[Tensor],
    padding: Tensor | None,
    task: BigBird,
) -> Tensor:
    """Attend in the whole batch at once, or in each document up to its last real token.

    Args:
        attend: gets the tensors and the padding of what is attended at once.
        tensors: query, key and so on, ``(batch, heads, length, head_dim)``.
        padding: ``(batch, length)`` bool or ``None``.
        task: which of the two.
    """
    if padding is None or task.last_block == "input":
        return attend(tensors, padding)
    length = padding.shape[1]
    ends = fact("ends", (padding,), lambda: _ends(padding)) if length else []
    rows = []
    for b, end in enumerate(ends):
        out = attend([t[b : b + 1, :, :end] for t in tensors], padding[b : b + 1, :end])
        # Heads of one position stay side by side in memory, as the engine leaves them.
        rows.append(torch.nn.functional.pad(out.transpose(1, 2), (0, 0, 0, 0, 0, length - end)))
    return torch.cat(rows).transpose(1, 2)


def _two_ends(padding: Tensor, size: int, last: int) -> Tensor:
    """Return the padding of the first block and of the last one, ``(batch, ends)``."""
    return torch.cat([padding[:, :size], padding[:, last:]], 1)


def _ends(padding: Tensor) -> list[int]:
    """Return the number of positions up to the last real one, for each row."""
    ends: list[int] = (padding * torch.arange(1, padding.shape[1] + 1, device=padding.device)).amax(1).tolist()
    return ends


def _blocked(
    tensors: Sequence[Tensor], padding: Tensor | None, *, task: BigBird, scale: float, dropout: float = 0.0
) -> Tensor:
    query, key, value = tensors
    length = query.shape[2]
    if task.is_short(length):
        sets: list[Keys] = [KeySet(key, value, max(1, min(length, ROWS_OF_SHORT)), attend=padding)]
    else:
        sets = _long_sets(query, key, value, padding, task)
    return block_attention(query, sets, scale=scale, attend=padding, dropout=dropout)


def _long_sets(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, task: BigBird) -> list[Keys]:
    """Key sets of a long input: neighbours, ends and random blocks for the inner queries, everything for the ends."""
    batch, heads, length, _ = query.shape
    size, count = task.block_size, task.num_random_blocks
    last = task.last_block_start(length)
    inner, first_rows, last_rows = (((a, b),) * batch for a, b in ((size, last), (0, size), (last, length)))
    middle = slice(size, last)
    near = inner_sets(
        key[:, :, middle],
        value[:, :, middle],
        None if padding is None else padding[:, middle],
        torch.cat([key[:, :, :size], key[:, :, last:]], 2),
        torch.cat([value[:, :, :size], value[:, :, last:]], 2),
        None if padding is None else fact(("ends of", size, last), (padding,), lambda: _two_ends(padding, size, last)),
        task,
        start=-2 * size,
    )
    sets: list[Keys] = [replace(keys, asking=inner) for keys in near]
    if count and task.random_blocks != "reference":
        table = task.table(length, heads, query.device)
        sets.append(ChosenKeySet(key, value, size, table, attend=padding, asking=inner))
    sets += [KeySet(key, value, size, attend=padding, asking=rows) for rows in (first_rows, last_rows)]
    return sets


def inner_sets(
    key: Tensor,
    value: Tensor,
    attend: Tensor | None,
    ends_key: Tensor,
    ends_value: Tensor,
    ends_attend: Tensor | None,
    task: BigBird,
    start: int,
) -> list[KeySet]:
    """Key sets of queries between the two ends: their neighbours and the ends, without random blocks.

    Args:
        key: ``(batch, heads, keys, head_dim)`` around the queries, without those of the two ends.
        value: same shape.
        attend: ``(batch, keys)`` bool, ``True`` for real tokens, or ``None``.
        ends_key: ``(batch, heads, ends, head_dim)``, the first block and the last one.
        ends_value: same shape.
        ends_attend: ``(batch, ends)`` bool or ``None``.
        task: the sizes.
        start: where in ``key`` the block before the first queries begins; windows are cut where ``key`` ends.
    """
    size, count = task.block_size, task.num_random_blocks
    neighbours = KeySet(key, value, size, 3 * size, start=start, step=size, attend=attend)
    again = count if task.random_blocks == "reference" else 0
    bias = _count_first_again(key, size, ends_key.shape[2] - size, again) if again else None
    return [neighbours, KeySet(ends_key, ends_value, ROWS_TO_ENDS, attend=ends_attend, bias=bias)]


def _count_first_again(query: Tensor, first: int, last: int, count: int) -> Tensor:
    """Scores that make the keys of the first block count ``1 + count`` times: ``(1, 1, 1, 1, first + last)``."""
    bias = torch.zeros(first + last, dtype=torch.promote_types(query.dtype, torch.float32), device=query.device)
    bias[:first] = math.log1p(count)
    return bias.view(1, 1, 1, 1, -1)


@opaque("big_bird")
def _operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    block_size: int,
    num_random_blocks: int,
    random_blocks: str,
    seed: int,
    max_length: int,
    last_block: str,
    scale: float,
) -> Tensor:
    task = BigBird(block_size, num_random_blocks, random_blocks, seed, max_length, last_block)
    return _by_document(partial(_blocked, task=task, scale=scale), (query, key, value), padding, task)


def _bias(length: int, heads: int, padding: Tensor | None, task: BigBird, device: torch.device) -> Tensor:
    """Logarithms of the counts, ``-inf`` for what is not seen: ``(batch | 1, heads | 1, length, length)``."""
    bias = task.counts(length, heads, device).double().log()[None]
    if padding is not None:
        bias = bias.masked_fill(~padding[:, None, None, :], -torch.inf)
        bias = bias.masked_fill(~padding[:, None, :, None], -torch.inf)
    return bias


def _reference(tensors: Sequence[Tensor], padding: Tensor | None, *, task: BigBird, scale: float) -> Tensor:
    query, key, value = tensors
    bias = _bias(query.shape[2], query.shape[1], padding, task, query.device)
    return dense_attention(query, key, value, bias=bias, scale=scale)


def big_bird_weights(query: Tensor, key: Tensor, task: BigBird, padding: Tensor | None = None) -> Tensor:
    """Return the attention weights as the dense matrix that transformers makes of them, for looking at.

    A weight is summed over the times that a key counts, so that rows sum to 1. The published code overwrites instead
    of summing: its weights on block 0 are those of one of the ``1 + r`` times.

    Args:
        query: ``(batch, heads, length, head_dim)``.
        key: same shape.
        task: the sizes.
        padding: ``(batch, length)`` bool, ``True`` for real tokens.

    Returns:
        ``(batch, heads, length, length)``; zeros in rows and columns of padding.

    Cost:
        time and memory ``O(batch · heads · length²)``.
    """
    return _by_document(partial(_dense_weights, task=task, columns=query.shape[2]), (query, key), padding, task)


def _dense_weights(tensors: Sequence[Tensor], padding: Tensor | None, *, task: BigBird, columns: int) -> Tensor:
    query, key = tensors
    length = query.shape[2]
    scores = (query @ key.transpose(-1, -2)).to(torch.promote_types(query.dtype, torch.float32))
    bias = _bias(length, query.shape[1], padding, task, query.device).to(scores.dtype)
    weights = (scores * query.shape[-1] ** -0.5 + bias).softmax(-1).nan_to_num(0.0)  # padding sees nothing
    return torch.nn.functional.pad(weights.to(query.dtype), (0, columns - length))
