"""The sparse keys of LSG: from every few tokens one key and one value, chosen or averaged.

The selected keys keep the order of the text, so that the sparse sequence is the document at a coarser scale: slot
``s`` stands for the tokens from ``s * sparsity_factor`` to ``(s + 1) * sparsity_factor``, or for one token out of the
chunk around them. :mod:`longsum_lib.attention.lsg.attention` lets every block of queries see a window of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from longsum_lib.attention.engine.facts import fact
from longsum_lib.attention.lsg.kinds import SPARSITY_TYPES
from longsum_lib.errors import Option, SizeError

_TYPE, _BLOCK = Option("sparsity_type"), Option("block_size")
_SPARSE, _FACTOR = Option("sparse_block_size"), Option("sparsity_factor")

# Tokens that are selected from at once: the temporaries of one slab stay small whatever the length.
TOKENS_PER_SLAB = 4096


@dataclass(frozen=True)
class Sparsity:
    """What sparse keys there are, and who sees them.

    Attributes:
        kind: one of :data:`.lsg.kinds.SPARSITY_TYPES`.
        block_size: queries in a block.
        width: sparse keys that a block sees on each side (``sparse_block_size``).
        factor: tokens that one sparse key stands for (``sparsity_factor``).
    """

    kind: str
    block_size: int
    width: int
    factor: int

    @property
    def step(self) -> int:
        """Sparse keys that stand for one block."""
        return self.block_size // self.factor

    @property
    def method(self) -> str:
        """The kind that is computed: a factor of 1 keeps every token, and hashing into one bin is pooling."""
        if self.factor == 1:
            return "all"
        if self.kind == "lsh" and self.factor == self.width:
            return "bos_pooling"
        return self.kind

    @property
    def chunk(self) -> int:
        """Tokens among which ``norm`` and ``lsh`` choose."""
        return min(self.block_size, self.width)

    @property
    def unit(self) -> int:
        """Tokens that are treated together: the sparse sequence is made of whole units."""
        units = {"norm": self.chunk, "lsh": self.chunk, "block_stride": self.block_size, "all": 1}
        return units.get(self.method, self.factor)


def check_geometry(
    sparsity_type: str | None,
    block_size: int,
    sparse_block_size: int,
    sparsity_factor: int,
    *,
    strict: bool = True,
) -> Sparsity | None:
    """Return the sparsity, or ``None`` if there are no sparse keys.

    Args:
        sparsity_type: one of :data:`.lsg.kinds.SPARSITY_TYPES`, or ``None``.
        block_size: queries in a block.
        sparse_block_size: sparse keys on each side; 0 = none.
        sparsity_factor: tokens that one sparse key stands for; 0 = none.
        strict: also refuse what this library can compute, but where the published code fails or silently shows
            blocks the wrong sparse keys, so that no checkpoint can mean it.

    Raises:
        ValueError: if the sizes do not fit together.
    """
    kind = "none" if sparsity_type is None else sparsity_type
    if kind not in SPARSITY_TYPES:
        raise SizeError(_TYPE, f" is {kind!r}, expected one of: {', '.join(SPARSITY_TYPES)}")
    if block_size < 1 or sparse_block_size < 0 or sparsity_factor < 0:
        got = f"got {block_size}, {sparse_block_size} and {sparsity_factor}"
        raise SizeError(_BLOCK, " must be >= 1, ", _SPARSE, " and ", _FACTOR, f" >= 0; {got}")
    if sparsity_factor and block_size % sparsity_factor:
        of = f", {sparsity_factor}: a block must hold whole groups"
        raise SizeError(_BLOCK, f" is {block_size}, expected a multiple of ", _FACTOR, of)
    if kind == "none" or sparse_block_size == 0 or sparsity_factor == 0:
        return None
    sparsity = Sparsity(kind, block_size, sparse_block_size, sparsity_factor)
    _check_chunks(sparsity)
    if strict:
        _check_published(sparsity)
    return sparsity


def _check_chunks(sparsity: Sparsity) -> None:
    chunk, factor = sparsity.chunk, sparsity.factor
    if sparsity.method in ("norm", "lsh") and chunk % factor:
        kept = f"{sparsity.kind!r} keeps 1 of {factor} keys of each {chunk} (the smaller of "
        fix = f" a multiple of {factor}"
        raise SizeError(kept, _BLOCK, " and ", _SPARSE, "), which is not a whole number; make ", _SPARSE, fix)
    if sparsity.method == "lsh" and chunk < 2 * factor:
        bins = f" {factor} make {chunk // factor}; take a smaller "
        raise SizeError(f"'lsh' needs two bins or more, but {chunk} tokens with ", _FACTOR, bins, _FACTOR)


_ADVICE = (", or give ", Option("strict_geometry", False), " to compute the intended pattern all the same")


def _sizes(sparsity: Sparsity) -> tuple[str, ...]:
    return (_BLOCK, f" {sparsity.block_size}, ", _SPARSE, f" {sparsity.width}, ", _FACTOR, f" {sparsity.factor}")


def _check_published(sparsity: Sparsity) -> None:
    step, width = sparsity.step, sparsity.width
    if step % 2:
        what = "shows blocks the wrong sparse keys on their right" if step == 1 else "fails"
        reason = f": the published LSG code {what}, because a block has {step} sparse keys, an odd number"
        raise SizeError(*_sizes(sparsity), f"{reason}; choose sizes with ", _BLOCK, " / ", _FACTOR, " even", *_ADVICE)
    if 4 * width <= 3 * step:
        why = (": the published LSG code shows blocks the wrong sparse keys or none, because ", _SPARSE)
        above = (" is not above three quarters of ", _BLOCK, " / ", _FACTOR)
        fix = f"; choose at least {3 * step // 4 + 1}"
        raise SizeError(*_sizes(sparsity), *why, *above, fix, *_ADVICE)


@dataclass(frozen=True)
class SparseKeys:
    """The sparse sequence.

    Attributes:
        key: ``(batch, heads, slots, head_dim)``.
        value: same shape.
        attend: ``(batch, heads | 1, slots)`` bool, ``True`` where a slot stands for something; ``None`` = everywhere.
    """

    key: Tensor
    value: Tensor
    attend: Tensor | None

    def shown(self) -> Tensor:
        """Return ``attend`` as a mask in any case, ``(batch, heads | 1, slots)``."""
        if self.attend is not None:
            return self.attend
        return torch.ones(self.key.shape[0], 1, self.key.shape[2], dtype=torch.bool, device=self.key.device)


@dataclass(frozen=True)
class Hashes:
    """Random directions of ``lsh``.

    Attributes:
        rounds: ``(rounds, heads, head_dim, chunk // 2)``, of the rounds that sort a chunk into as many bins as it has
            tokens.
        last: ``(heads, head_dim, chunk // factor // 2)``, of the last round.
    """

    rounds: Tensor
    last: Tensor


def draw_hashes(
    sparsity: Sparsity,
    heads: int,
    head_dim: int,
    *,
    pre_rounds: int = 1,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Hashes:
    """Draw the directions of one layer, in the order and shapes in which the published code draws them.

    Args:
        sparsity: of kind ``lsh``.
        heads: number of heads, each has directions of its own.
        head_dim: size of a key.
        pre_rounds: rounds before the last one (``lsh_num_pre_rounds``).
        generator: where the numbers come from; ``None`` = torch's global generator.
        device: of the tensors.
    """

    def draw(bins: int) -> Tensor:
        shape = (1, heads, 1, head_dim, bins // 2)
        return torch.randn(shape, generator=generator, device=device)[0, :, 0]

    chunk = sparsity.chunk
    rounds = [draw(chunk) for _ in range(pre_rounds)]
    empty = torch.empty(0, heads, head_dim, chunk // 2, device=device)
    return Hashes(torch.stack(rounds) if rounds else empty, draw(chunk // sparsity.factor))


def select(
    sparsity: Sparsity,
    first_query: Tensor,
    key: Tensor,
    value: Tensor,
    real: Tensor | None = None,
    *,
    hashes: Hashes | None = None,
    scale: float | None = None,
    mask_empty_groups: bool = True,
) -> SparseKeys:
    """Make the sparse sequence of a document.

    Args:
        sparsity: which kind, and its sizes.
        first_query: ``(batch, heads, 1, head_dim)``, the query of the first token, for ``bos_pooling``.
        key: ``(batch, heads, length, head_dim)`` of the tokens (not of the global ones).
        value: same shape.
        real: ``(batch, length)`` bool, ``True`` for real tokens.
        hashes: directions, for ``lsh``.
        scale: factor of the dot product in ``bos_pooling``; ``None`` = ``head_dim ** -0.5``.
        mask_empty_groups: hide groups without a real token in ``bos_pooling``; the published code shows them.

    Returns:
        ``ceil(length / unit) * unit / factor`` slots, at least as many as the tokens fill.

    Cost:
        time ``O(length · head_dim)`` a head (``lsh``: times ``chunk / 2``); memory: the slots and the temporaries of
        one slab.
    """
    if sparsity.method == "all":
        return SparseKeys(key, value, None if real is None else real[:, None])
    scale = key.shape[-1] ** -0.5 if scale is None else scale
    choose = _CHOOSERS[sparsity.method]
    given = _Given(first_query, hashes, scale, mask_empty_groups)
    slab = max(1, TOKENS_PER_SLAB // sparsity.unit) * sparsity.unit
    parts = []
    for first in range(0, key.shape[2], slab):
        rows = slice(first, first + slab)
        part = key[:, :, rows], value[:, :, rows], None if real is None else real[:, rows]
        parts.append(choose(sparsity, *_whole_units(part, sparsity.unit), given))
    keys, values = torch.cat([part.key for part in parts], 2), torch.cat([part.value for part in parts], 2)
    if all(part.attend is None for part in parts):
        return SparseKeys(keys, values, None)
    shown = [part.shown() for part in parts]
    heads = max(mask.shape[1] for mask in shown)
    attend = torch.cat([mask.expand(-1, heads, -1) for mask in shown], 2)
    if sparsity.method != "lsh":  # whose groups are of keys; where the others have slots depends on the padding alone
        asked = ("slots", sparsity, mask_empty_groups, key.shape[2], attend.shape, attend.device)
        attend = fact(asked, (real,), lambda: attend)
    return SparseKeys(keys, values, attend)


def _whole_units(part: tuple[Tensor, Tensor, Tensor | None], unit: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Fill a slab up to a multiple of ``unit`` tokens; what is added is not real."""
    key, value, real = part
    missing = -key.shape[2] % unit
    if not missing:
        return part
    if real is None:
        real = torch.ones(key.shape[0], key.shape[2], dtype=torch.bool, device=key.device)
    pad = torch.nn.functional.pad
    return pad(key, (0, 0, 0, missing)), pad(value, (0, 0, 0, missing)), pad(real, (0, missing))


class _Given(NamedTuple):
    """What some choosers need besides keys; the arguments of :func:`select`."""

    first_query: Tensor
    hashes: Hashes | None
    scale: float
    masked: bool


# A chooser gets keys and values (batch, heads, tokens, dim) and `real` (batch, tokens) of whole units.
_Chooser = Callable[[Sparsity, Tensor, Tensor, "Tensor | None", _Given], SparseKeys]


def _norm(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, _: _Given) -> SparseKeys:
    """Keep the keys of largest norm of each chunk: they are the ones that can get large scores."""
    chunk, kept = sparsity.chunk, sparsity.chunk // sparsity.factor
    batch, heads, tokens = key.shape[:3]
    work = torch.promote_types(key.dtype, torch.float32)
    size = torch.linalg.vector_norm(key.detach(), dim=-1, dtype=work)  # (b, h, tokens)
    if real is not None:
        size = size.masked_fill(~real[:, None], -1.0)  # padding comes after every real token
    best = size.unflatten(-1, (-1, chunk)).argsort(-1, descending=True)[..., :kept]
    best = (best + torch.arange(0, tokens, chunk, device=key.device)[:, None]).flatten(2)  # (b, h, slots)
    rows = torch.arange(batch, device=key.device)[:, None, None]
    head = torch.arange(heads, device=key.device)[None, :, None]
    # All heads choose real tokens first, so the slots without one are the same in each.
    attend = None if real is None else real[rows, best[:, :1]]
    return SparseKeys(key[rows, head, best], value[rows, head, best], attend)


def _pooling(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, _: _Given) -> SparseKeys:
    """Average the real keys of each group of neighbours."""
    factor = sparsity.factor
    count = None if real is None else real.unflatten(1, (-1, factor)).sum(-1)[:, None, :, None]  # (b, 1, slots, 1)

    def pooled(states: Tensor) -> Tensor:
        states = states if real is None else states.masked_fill(~real[:, None, :, None], 0.0)
        work = torch.promote_types(states.dtype, torch.float32)
        total = states.unflatten(2, (-1, factor)).sum(3, dtype=work)
        mean: Tensor = total / ((factor if count is None else count) + 1e-6)
        return mean.to(states.dtype)

    return SparseKeys(pooled(key), pooled(value), None if count is None else (count > 0)[..., 0])


def _bos_pooling(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, given: _Given) -> SparseKeys:
    """Average each group with the weights that the first token gives to its members."""
    factor = sparsity.factor
    work = torch.promote_types(key.dtype, torch.float32)
    scores = (key @ given.first_query.transpose(-1, -2)).squeeze(-1).to(work) * given.scale  # (b, h, tokens)
    attend = None
    if real is not None:
        # The lowest finite number, not -inf: a group without a real token gets equal weights and no NaN.
        scores = scores.masked_fill(~real[:, None], torch.finfo(work).min)
        attend = real.unflatten(1, (-1, factor)).any(-1)[:, None] if given.masked else None
    weights = scores.unflatten(-1, (-1, factor)).softmax(-1).unsqueeze(-2).to(key.dtype)  # (b, h, slots, 1, factor)
    means = ((weights @ t.unflatten(2, (-1, factor))).squeeze(-2) for t in (key, value))
    return SparseKeys(next(means), next(means), attend)


def _stride(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, _: _Given) -> SparseKeys:
    """Head ``h`` takes every ``factor``-th token, from token ``h % factor`` on."""
    factor, heads = sparsity.factor, key.shape[1]

    def pick(tensor: Tensor, head: int) -> Tensor:
        return tensor[:, head % factor :: factor]

    return _by_head(pick, key, value, real, heads)


def _block_stride(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, _: _Given) -> SparseKeys:
    """Head ``h`` takes the ``h % factor``-th of the ``factor`` runs of each block."""
    factor, heads, step = sparsity.factor, key.shape[1], sparsity.step

    def pick(tensor: Tensor, head: int) -> Tensor:
        runs: Tensor = tensor.unflatten(1, (-1, factor, step))
        return runs[:, :, head % factor].flatten(1, 2)

    return _by_head(pick, key, value, real, heads)


def _by_head(
    pick: Callable[[Tensor, int], Tensor], key: Tensor, value: Tensor, real: Tensor | None, heads: int
) -> SparseKeys:
    key, value = (torch.stack([pick(t[:, h], h) for h in range(heads)], 1) for t in (key, value))
    return SparseKeys(key, value, None if real is None else torch.stack([pick(real, h) for h in range(heads)], 1))


def _lsh(sparsity: Sparsity, key: Tensor, value: Tensor, real: Tensor | None, given: _Given) -> SparseKeys:
    """Average the keys that fall into the same bin of random directions; each chunk has bins of its own."""
    if given.hashes is None:
        raise ValueError("'lsh' needs hashes; draw them with draw_hashes")
    chunk, work = sparsity.chunk, torch.promote_types(key.dtype, torch.float32)
    batch, heads, tokens, _ = key.shape
    exists = torch.ones(batch, tokens, dtype=torch.bool, device=key.device) if real is None else real
    exists = exists.view(batch, 1, -1, chunk).expand(-1, heads, -1, -1)  # (b, h, chunks, chunk)
    key, value = (t.unflatten(2, (-1, chunk)) for t in (key, value))  # (b, h, chunks, chunk, dim)
    with torch.no_grad():
        member = _bins(key.to(work), exists, given.hashes, chunk // sparsity.factor)  # (b, h, chunks, bins, chunk)
        count = member.sum(-1)
        share = member / count.clamp(min=1.0).unsqueeze(-1)
    key, value = ((share.to(t.dtype) @ t).flatten(2, 3) for t in (key, value))
    return SparseKeys(key, value, (count > 0).flatten(2))


def _bins(key: Tensor, exists: Tensor, hashes: Hashes, bins: int) -> Tensor:
    """Which token of a chunk falls into which of the last round's bins: ``(b, h, chunks, bins, chunk)``, 0 or 1."""
    chunk = key.shape[3]
    eye = torch.eye(chunk, dtype=key.dtype, device=key.device)
    member = eye * exists.unsqueeze(-2)  # (b, h, chunks, token as bin, chunk)
    directions = [*hashes.rounds, hashes.last]
    for number, direction in enumerate(directions):
        sums = member @ key  # (b, h, chunks, bins, dim); the length of a sum does not change its bin
        scores = sums @ direction.to(key.dtype)[None, :, None]
        code = torch.cat([scores, -scores], -1).argmax(-1)  # (b, h, chunks, bins)
        count = bins if number == len(directions) - 1 else chunk
        merge = torch.nn.functional.one_hot(code, count).to(key.dtype).transpose(-1, -2)
        member = merge @ member
    return member


_CHOOSERS: dict[str, _Chooser] = {
    "norm": _norm,
    "pooling": _pooling,
    "bos_pooling": _bos_pooling,
    "stride": _stride,
    "block_stride": _block_stride,
    "lsh": _lsh,
}
