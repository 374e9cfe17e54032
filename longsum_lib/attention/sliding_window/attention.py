"""Sliding window and global tokens: the attention of Longformer and LED."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import torch
from torch import Tensor

from longsum_lib.attention import patterns
from longsum_lib.attention.arguments import BACKENDS, check_backend, check_tensors, scale_of
from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.band import band_attention, window_keys
from longsum_lib.attention.engine.band import block_size_for as block_size_for
from longsum_lib.attention.engine.key_sets import KeySet
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.reference import dense_attention
from longsum_lib.attention.sliding_window.checks import check_window_arguments
from longsum_lib.attention.sliding_window.global_tokens import GlobalKeys, gather_rows, global_positions, put_rows
from longsum_lib.attention.window_patterns import Window, sides
from longsum_lib.upstream.torch import tracing


def sliding_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: Window,
    is_global: Tensor | None = None,
    global_query: Tensor | None = None,
    global_key: Tensor | None = None,
    global_value: Tensor | None = None,
    padding: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    sinks: Tensor | None = None,
    softcap: float | None = None,
    cu_seqlens: Tensor | None = None,
    offset: int | None = None,
    backend: str = "auto",
) -> Tensor:
    r"""Attend to a window and to the global tokens; global tokens attend to everything.

    A local query :math:`i` sees :math:`\{j : i-l \le j \le i+r\} \cup G`, each key once; a global query sees all
    keys. Local queries reach global tokens through ``key`` and ``value``; global queries use the ``global_*`` tensors.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16.
        key: ``(batch, key_heads, keys, head_dim)``. ``key_heads`` divides ``heads``; query head ``h`` reads key head
            ``h // (heads / key_heads)``, and no key is repeated. More keys than queries: the queries continue a cache.
        value: same shape as ``key``.
        window: one-sided radius in tokens, the band is ``2 * window + 1`` wide; or ``(left, right)``, where
            ``(w, 0)`` is causal. What decoders' configurations call a window of ``n`` is ``(n - 1, 0)``.
        is_global: ``(batch, length)`` bool, ``True`` for global tokens; any number, it may differ inside a batch.
        global_query: queries of global tokens, same shape as ``query``; ``None`` = ``query``.
        global_key: keys that global queries see; ``None`` = ``key``.
        global_value: values that global queries see; ``None`` = ``value``.
        padding: ``(batch, keys)`` bool, ``True`` for real tokens, wherever they stand. The others neither see nor
            are seen, also where ``is_global`` names them.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        dropout: probability of dropping an attention weight.
        sinks: ``(heads,)``, learned scores that take weight and give nothing (gpt-oss).
        softcap: bound ``c`` of the scaled scores, ``c · tanh(score / c)`` (Gemma 2).
        cu_seqlens: ``(documents + 1,)`` int, where each document packed into the one sequence begins, and the end of
            the last: a token sees its own document only. For a batch of 1, without global tokens.
        offset: position of the first query among the keys; ``None`` = the queries are the last ones.
        backend: ``"reference"`` (dense oracle), ``"blocked"`` (any device), ``"flex"`` (FlexAttention; compiled on
            CUDA), ``"compiled"`` (the same compiled on a CPU too, which needs a C++ compiler) or ``"auto"``.

    Returns:
        ``(batch, heads, length, head_dim)`` in the dtype of ``query``; zeros in the rows of padding.

    Raises:
        ValueError: if ``window < 0``, shapes disagree, options exclude each other, or the backend is unknown or
            cannot do what is asked.

    Cost:
        time ``O(length · (window + globals))``; extra memory: the output and ``O(length · globals)`` numbers.

    Source:
        Beltagy, Peters and Cohan 2020, section 3.1. The reference code divides the query by ``sqrt(head_dim)``; here
        the scale is applied to the scores. Rows of padding are zeros in both. Windows of decoders: Jiang et al. 2023
        (Mistral 7B), section 2; with sinks, OpenAI 2025 (gpt-oss), section 2.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 100, 8)
        >>> sliding_window_attention(q, k, v, window=4).shape
        torch.Size([1, 2, 100, 8])
    """
    own = {"global_query": global_query, "global_key": global_key, "global_value": global_value}
    check_tensors(dropout, padding=padding, query=query, key=key, value=value, optional=own | {"sinks": sinks})
    left, right = sides(window)
    offset = check_window_arguments(query, key, value, is_global, padding, sinks, cu_seqlens, offset)
    scale = scale_of(query, scale)
    check_backend(backend, dropout, (*BACKENDS, "flex", "compiled"))
    if is_global is not None and padding is not None:
        is_global = is_global & padding
    globals_ = (
        query if global_query is None else global_query,
        key if global_key is None else global_key,
        value if global_value is None else global_value,
    )
    task = Task(left, right, offset, is_global, padding, scale, dropout, softcap, sinks, cu_seqlens)
    if backend == "reference":
        return _reference(query, key, value, globals_, task)
    out = None
    if backend in ("flex", "compiled") or (backend == "auto" and choose_backend(query, dropout) == "flex"):
        out = _try_flex(backend, query, key, value, task)
    if out is None and tracing() and not dropout and task.is_plain and key.shape == query.shape:
        return _sliding_window_operator(query, key, value, *globals_, is_global, padding, left, scale)
    if out is None:
        out = _local_rows(query, key, value, task)
    return out if is_global is None else _overwrite_global_rows(out, globals_, task)


class _Options(TypedDict):
    scale: float
    dropout: float
    softcap: float | None
    sinks: Tensor | None


@dataclass(frozen=True)
class Task:
    """What :func:`sliding_window_attention` was asked for, besides queries, keys and values."""

    left: int
    right: int
    offset: int
    is_global: Tensor | None
    padding: Tensor | None
    scale: float
    dropout: float = 0.0
    softcap: float | None = None
    sinks: Tensor | None = None
    cu_seqlens: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is what the encoders of this book do: a window of equal sides, and nothing new."""
        news = (self.softcap, self.sinks, self.cu_seqlens)
        return self.left == self.right and not self.offset and all(new is None for new in news)

    @property
    def options(self) -> _Options:
        """Keywords for the engine."""
        return {"scale": self.scale, "dropout": self.dropout, "softcap": self.softcap, "sinks": self.sinks}

    def real(self, rows: int) -> Tensor | None:
        """Which of ``rows`` queries are real, ``(batch, rows)``."""
        return None if self.padding is None else self.padding[:, self.offset : self.offset + rows]


_Kind = tuple[torch.device, torch.dtype, int, int]
_REFUSED: set[_Kind] = set()
"""Devices, formats, head counts and head sizes for which FlexAttention failed once: blocks from then on."""


def _kind(query: Tensor) -> _Kind:
    return query.device, query.dtype, query.shape[1], query.shape[3]


def choose_backend(query: Tensor, dropout: float = 0.0) -> str:
    """Name the backend that ``"auto"`` takes: FlexAttention on GPUs from Ampere on, else the blocked engine."""
    if query.device.type != "cuda" or dropout or tracing() or _kind(query) in _REFUSED:
        return "blocked"
    major, _ = torch.cuda.get_device_capability(query.device)
    return "flex" if major >= 8 and query.shape[-1] in (16, 32, 64, 128, 256) else "blocked"


def _try_flex(backend: str, query: Tensor, key: Tensor, value: Tensor, task: Task) -> Tensor | None:
    """FlexAttention's result; ``None``, with a warning, where it was only our choice and cannot be compiled."""
    from longsum_lib.attention.sliding_window.flex import flex_sliding_window

    try:
        return flex_sliding_window(query, key, value, task, compiled=backend == "compiled")
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # compilers fail in many ways, by toolchain and by card
        if backend != "auto":
            raise
        _REFUSED.add(_kind(query))
        warnings.warn(f"FlexAttention failed ({error}); going on with backend='blocked'", stacklevel=3)
        return None


def _local_rows(query: Tensor, key: Tensor, value: Tensor, task: Task) -> Tensor:
    """Attend from every query, global or not, to its window and the global keys."""
    if task.is_plain and key.shape == query.shape:
        return local_rows(query, key, value, task.left, task.is_global, task.padding, task.scale, task.dropout)
    if task.is_global is None:
        documents = None if task.cu_seqlens is None else [_pairs(task.cu_seqlens)]
        return band_attention(
            query,
            key,
            value,
            left=task.left,
            right=task.right,
            offset=task.offset,
            padding=task.padding,
            real=task.real(query.shape[2]),
            documents=documents,
            **task.options,
        )
    near = window_keys(query, key, value, task.left, task.right, 0, task.padding)
    positions, exists = global_positions(task.is_global)
    sets = [near]
    if positions.shape[1]:
        far = GlobalKeys.at(key, value, positions, exists)
        sets.append(far.as_key_set(task.left, query.shape[2], right=task.right))
    return block_attention(query, sets, attend=task.padding, **task.options)


def _pairs(cu_seqlens: Tensor) -> list[tuple[int, int]]:
    edges = cu_seqlens.tolist()
    return list(itertools.pairwise(edges))


def local_rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    is_global: Tensor | None,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Attend from every query, global or not, to its window and the global keys; shapes as above."""
    if tracing() and not dropout:
        return _local_rows_operator(query, key, value, is_global, padding, window, scale)
    globals_ = None
    if is_global is not None:
        positions, exists = global_positions(is_global)
        if positions.shape[1]:
            globals_ = GlobalKeys.at(key, value, positions, exists)
    return rows_near(query, key, value, globals_, window, padding, scale, dropout)


def rows_near(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    globals_: GlobalKeys | None,
    window: int,
    padding: Tensor | None,
    scale: float,
    dropout: float = 0.0,
    first: int = 0,
    before: int = 0,
) -> Tensor:
    """Attend from a run of queries to their windows and to the global keys.

    Args:
        query: ``(batch, heads, rows, head_dim)``, the queries from position ``first`` on.
        key: ``(batch, heads, keys, head_dim)``, the keys around them, ``before`` of which stand before ``first``.
        value: same shape as ``key``.
        globals_: the global tokens, if any.
        window: one-sided radius in tokens.
        padding: ``(batch, keys)`` bool, ``True`` for real tokens.
        scale: factor of the dot product.
        dropout: probability of dropping an attention weight.
        first: position of the first query.
        before: keys before the first query.

    Returns:
        ``(batch, heads, rows, head_dim)``.
    """
    rows = query.shape[2]
    near = window_keys(query, key, value, window, window, before, padding)
    sets = [near] if globals_ is None else [near, globals_.as_key_set(window, rows, first)]
    real = None if padding is None else padding[:, before : before + rows]
    return block_attention(query, sets, scale=scale, attend=real, dropout=dropout)


def _overwrite_global_rows(out: Tensor, globals_: tuple[Tensor, Tensor, Tensor], task: Task) -> Tensor:
    assert task.is_global is not None
    positions, exists = global_positions(task.is_global)
    if positions.shape[1] == 0:
        return out
    query, key, value = globals_
    rows = block_attention(
        gather_rows(query, positions),
        [KeySet(key, value, positions.shape[1], attend=task.padding)],
        attend=exists,
        **task.options,
    )
    return put_rows(out, rows, positions, exists)


def _reference(
    query: Tensor, key: Tensor, value: Tensor, globals_: tuple[Tensor, Tensor, Tensor], task: Task
) -> Tensor:
    length, keys = query.shape[2], key.shape[2]
    sees = patterns.sliding_window(length, (task.left, task.right), keys=keys, offset=task.offset).to(query.device)
    if task.is_global is not None:
        sees = sees | task.is_global[:, None, :]
    if task.cu_seqlens is not None:
        documents = patterns.documents_of(task.cu_seqlens)
        sees = sees & (documents[:, None] == documents)
    real = task.real(length)
    if task.padding is not None and real is not None:
        sees = sees & task.padding[:, None, :] & real[:, :, None]
    attend = partial(dense_attention, scale=task.scale, softcap=task.softcap, sinks=task.sinks)
    out = attend(query, key, value, attend=sees.view(-1, 1, length, keys))
    if task.is_global is None:
        return out
    visible = None if task.padding is None else task.padding[:, None, None, :]
    everything = attend(*globals_, attend=visible)
    return torch.where(task.is_global[:, None, :, None], everything, out)


@opaque("sliding_window")
def _sliding_window_operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    global_query: Tensor,
    global_key: Tensor,
    global_value: Tensor,
    is_global: Tensor | None,
    padding: Tensor | None,
    window: int,
    scale: float,
) -> Tensor:
    return sliding_window_attention(
        query,
        key,
        value,
        window=window,
        is_global=is_global,
        global_query=global_query,
        global_key=global_key,
        global_value=global_value,
        padding=padding,
        scale=scale,
        backend="blocked",
    )


@opaque("sliding_window_local_rows")
def _local_rows_operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    is_global: Tensor | None,
    padding: Tensor | None,
    window: int,
    scale: float,
) -> Tensor:
    return local_rows(query, key, value, window, is_global, padding, scale)
