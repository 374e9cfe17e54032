"""Sliding window and global tokens: the attention of Longformer and LED."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from longsum_lib.attention import patterns
from longsum_lib.attention.arguments import check_tensors
from longsum_lib.attention.engine.attend import KeySet, block_attention
from longsum_lib.attention.engine.key_sets import ROWS_PER_CALL
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.reference import dense_attention
from longsum_lib.upstream.torch import tracing

BACKENDS = ("auto", "reference", "blocked", "flex")


def sliding_window_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: int,
    is_global: Tensor | None = None,
    global_query: Tensor | None = None,
    global_key: Tensor | None = None,
    global_value: Tensor | None = None,
    padding: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    r"""Attend to a window and to the global tokens; global tokens attend to everything.

    A local query :math:`i` sees :math:`\{j : |i-j| \le w\} \cup G`, each key once; a global query sees all keys. Local
    queries reach global tokens through ``key`` and ``value``; global queries use the ``global_*`` tensors.

    Args:
        query: ``(batch, heads, length, head_dim)``, fp32, bf16 or fp16.
        key: same shape.
        value: same shape.
        window: one-sided radius in tokens; the band is ``2 * window + 1`` wide.
        is_global: ``(batch, length)`` bool, ``True`` for global tokens; any number, it may differ inside a batch.
        global_query: queries of global tokens, same shape as ``query``; ``None`` = ``query``.
        global_key: keys that global queries see; ``None`` = ``key``.
        global_value: values that global queries see; ``None`` = ``value``.
        padding: ``(batch, length)`` bool, ``True`` for real tokens, wherever they stand. The others neither see nor
            are seen, also where ``is_global`` names them.
        scale: factor of the dot product; ``None`` = ``head_dim ** -0.5``.
        dropout: probability of dropping an attention weight.
        backend: ``"reference"`` (dense oracle), ``"blocked"`` (any device), ``"flex"`` (FlexAttention) or ``"auto"``.

    Returns:
        ``(batch, heads, length, head_dim)`` in the dtype of ``query``; zeros in the rows of padding.

    Raises:
        ValueError: if ``window < 0``, shapes disagree, or the backend is unknown or cannot do what is asked.

    Cost:
        time ``O(length · (window + globals))``; extra memory: the output and ``O(length · globals)`` numbers.

    Source:
        Beltagy, Peters and Cohan 2020, section 3.1. The reference code divides the query by ``sqrt(head_dim)``; here
        the scale is applied to the scores. Rows of padding are zeros in both.

    Example:
        >>> q, k, v = torch.randn(3, 1, 2, 100, 8)
        >>> sliding_window_attention(q, k, v, window=4).shape
        torch.Size([1, 2, 100, 8])
    """
    own = {"global_query": global_query, "global_key": global_key, "global_value": global_value}
    check_tensors(dropout, padding=padding, query=query, key=key, value=value, optional=own)
    _check(query, key, value, window, is_global, padding, backend)
    scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
    if is_global is not None and padding is not None:
        is_global = is_global & padding
    globals_ = (
        query if global_query is None else global_query,
        key if global_key is None else global_key,
        value if global_value is None else global_value,
    )
    if backend == "reference":
        if dropout:
            raise ValueError(f"backend 'reference' has no dropout, got dropout={dropout}; use 'blocked'")
        return _reference(query, key, value, globals_, window, is_global, padding, scale)
    out = None
    if backend == "flex" or (backend == "auto" and choose_backend(query, dropout) == "flex"):
        out = _try_flex(backend == "flex", query, key, value, window, is_global, padding, scale, dropout)
    if out is None and tracing() and not dropout:
        return _sliding_window_operator(query, key, value, *globals_, is_global, padding, window, scale)
    if out is None:
        out = local_rows(query, key, value, window, is_global, padding, scale, dropout)
    if is_global is None:
        return out
    return _overwrite_global_rows(out, globals_, is_global, padding, scale, dropout)


def choose_backend(query: Tensor, dropout: float = 0.0) -> str:
    """Name the backend that ``"auto"`` takes: FlexAttention on GPUs from Ampere on, else the blocked engine."""
    if query.device.type != "cuda" or dropout or tracing():
        return "blocked"
    major, _ = torch.cuda.get_device_capability(query.device)
    return "flex" if major >= 8 and query.shape[-1] in (16, 32, 64, 128, 256) else "blocked"


def _try_flex(forced: bool, *arguments) -> Tensor | None:
    """FlexAttention's result; ``None``, with a warning, where it was only our choice and cannot be compiled."""
    from longsum_lib.attention.sliding_window.flex import flex_sliding_window

    try:
        return flex_sliding_window(*arguments)
    except Exception as error:  # compilers fail in many ways, by toolchain and by card
        if forced:
            raise
        warnings.warn(f"FlexAttention failed ({error}); going on with backend='blocked'", stacklevel=3)
        return None


def block_size_for(window: int) -> int:
    """Queries in a block: an eighth of the band, which keeps the wasted corners of the band below an eighth."""
    return min(256, max(32, 1 << max(0, window // 4 - 1).bit_length()))


def _band(block_size: int, window: int, query: Tensor) -> Tensor:
    """Bias of a block against its window: 0 in the band, ``-inf`` in its two corners; ``(1, 1, 1, block, size)``."""
    row = torch.arange(block_size, device=query.device)[:, None]
    column = torch.arange(block_size + 2 * window, device=query.device)[None, :]
    outside = (column < row) | (column > row + 2 * window)
    return torch.zeros(outside.shape, device=query.device).masked_fill_(outside, -torch.inf)[None, None, None]


def global_positions(is_global: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the global tokens of each sequence, padded to the largest number in the batch.

    Args:
        is_global: ``(batch, length)`` bool.

    Returns:
        Positions ``(batch, globals)`` int64 and which of them exist ``(batch, globals)`` bool.
    """
    counts = is_global.sum(1)
    most = int(counts.max()) if counts.numel() else 0
    positions = is_global.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    exists = torch.arange(most, device=is_global.device) < counts[:, None]
    return positions, exists


def _gather_rows(tensor: Tensor, positions: Tensor) -> Tensor:
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

    def as_key_set(self, window: int, length: int, first: int = 0) -> KeySet:
        """Key set for ``length`` queries from position ``first`` on; the window counts near pairs already."""
        rows = max(1, min(length, ROWS_PER_CALL))
        blocks = -(-length // rows)
        query = first + torch.arange(blocks * rows, device=self.key.device).view(1, blocks, rows, 1)
        near = (query - self.positions[:, None, None, :]).abs() <= window
        hidden = near | ~self.exists[:, None, None, :]  # (b, blocks, rows, globals)
        bias = torch.zeros(hidden.shape, device=self.key.device).masked_fill_(hidden, -torch.inf).unsqueeze(1)
        return KeySet(self.key, self.value, rows, bias=bias)


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
            far = (_gather_rows(tensor, positions) for tensor in (key, value))
            globals_ = GlobalKeys(*far, positions, exists)
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
    size, rows = block_size_for(window), query.shape[2]
    band = _band(size, window, query)
    near = KeySet(key, value, size, size + 2 * window, start=before - window, step=size, bias=band, attend=padding)
    sets = [near] if globals_ is None else [near, globals_.as_key_set(window, rows, first)]
    real = None if padding is None else padding[:, before : before + rows]
    return block_attention(query, sets, scale=scale, attend=real, dropout=dropout)


def _overwrite_global_rows(out, globals_, is_global, padding, scale, dropout):
    positions, exists = global_positions(is_global)
    if positions.shape[1] == 0:
        return out
    query, key, value = globals_
    rows = block_attention(
        _gather_rows(query, positions),
        [KeySet(key, value, positions.shape[1], attend=padding)],
        scale=scale,
        attend=exists,
        dropout=dropout,
    )
    return put_rows(out, rows, positions, exists)


def put_rows(out: Tensor, rows: Tensor, positions: Tensor, exists: Tensor) -> Tensor:
    """Put ``rows`` ``(batch, heads, globals, dim)`` into ``out`` ``(batch, heads, length, dim)`` at their positions.

    In place where autograd does not watch, else in a copy.
    """
    batch, slot = exists.nonzero(as_tuple=True)
    target = (batch, slice(None), positions[batch, slot])
    values = rows[batch, :, slot]  # (existing globals, heads, dim)
    if torch.is_grad_enabled() and (out.requires_grad or rows.requires_grad):
        out = out.clone(memory_format=torch.preserve_format)
    out[target] = values.to(out.dtype)
    return out


def _reference(query, key, value, globals_, window, is_global, padding, scale):
    length = query.shape[2]
    sees = patterns.sliding_window(length, window).to(query.device)
    if is_global is not None:
        sees = sees | is_global[:, None, :]
    if padding is not None:
        sees = sees & padding[:, None, :] & padding[:, :, None]
    out = dense_attention(query, key, value, attend=sees.view(-1, 1, length, length), scale=scale)
    if is_global is None:
        return out
    visible = None if padding is None else padding[:, None, None, :]
    everything = dense_attention(*globals_, attend=visible, scale=scale)
    return torch.where(is_global[:, None, :, None], everything, out)


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


def _check(query, key, value, window, is_global, padding, backend) -> None:
    if window < 0:
        raise ValueError(f"window is {window}, expected a one-sided radius in tokens >= 0")
    if query.dim() != 4 or key.shape != query.shape or value.shape != query.shape:
        raise ValueError(
            f"query, key and value have shapes {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}; "
            "all three must be (batch, heads, length, head_dim)"
        )
    for name, mask in (("is_global", is_global), ("padding", padding)):
        if mask is None:
            continue
        if mask.dtype != torch.bool:
            raise ValueError(f"{name} has dtype {mask.dtype}, expected torch.bool; pass {name}.bool()")
        if mask.shape != (query.shape[0], query.shape[2]):
            expected = (query.shape[0], query.shape[2])
            raise ValueError(f"{name} has shape {tuple(mask.shape)}, expected (batch, length) = {expected}")
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
