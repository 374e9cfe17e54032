"""Keys and values of one document, as every token that is written about it reads them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longsum_lib.models.core.step.products import StepLayer, Weights
from longsum_lib.upstream.torch import lacks_half

# Rows of one document that attend together: 32 rows, 12 heads and 16,384 keys make 24 MiB of scores.
MOST_ROWS = 32
# Rows from which on the fused kernel is faster than products, where a processor has no instructions for bf16.
FUSED_ROWS = 3


class DocumentKeys:
    """Keys and values of one document in all layers, of its real tokens only.

    How they lie depends on how many rows read them together: a product of one row is fastest if it reads columns in
    order, one of several rows if the rows of a head lie side by side; in bf16 always the latter for keys and the former
    for values. The fused kernel is no match for either: 8,192 keys of 12 heads in bf16 take it 8.4 ms for one row,
    where the two products take 1.8 (one thread, AVX-512 without AMX). Only in bf16 on a processor without instructions
    for it, where products take as long for each row, is it the faster one for several rows: 16,384 keys and four rows
    take it 21 ms, the products 65, those in fp32 28 (one thread, AVX2).

    Args:
        weights: the decoder's.
        states: the encoder's states ``(length, d_model)``.
        real: bool ``(length,)``, or ``None``: all tokens are real.
        beams: rows that will mostly read the document together.

    Attributes:
        length: number of keys.

    Cost:
        memory ``2 · layers · length · heads · head_dim``.
    """

    def __init__(self, weights: Weights, states: Tensor, real: Tensor | None = None, beams: int = 1) -> None:
        if states.dim() != 2:
            raise ValueError(f"states of a document have shape {tuple(states.shape)}, expected (length, d_model)")
        if real is not None and not bool(real.all()):
            states = states[real]
        self.length, self._scale = states.shape[0], weights.scale
        half = states.dtype == torch.bfloat16
        self._fused_from = FUSED_ROWS if half and states.device.type == "cpu" and lacks_half() else None
        fused = self._fused_from is not None and beams >= self._fused_from
        self._columns = (beams == 1 and not half, beams <= 2 or (half and not fused))
        self._layers = [self._project(layer, states, weights.heads) for layer in weights.layers]

    def _project(self, layer: StepLayer, states: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Keys ``(heads, dim, length)`` and values ``(heads, length, dim)``, each laid out as it is read."""
        key, value = (
            _in_columns(project, states).unflatten(0, (heads, -1))
            if columns
            else project(states).unflatten(-1, (heads, -1)).transpose(0, 1).contiguous().mT
            for project, columns in zip((layer.keys, layer.values), self._columns, strict=True)
        )
        return key, value.mT

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Attend from a few rows ``(rows, heads, dim)`` to the document; the same shape back."""
        key, value = self._layers[layer]
        query = query.transpose(0, 1)  # (heads, rows, dim)
        if self._fused_from is not None and query.shape[1] >= self._fused_from and self.length:
            out = F.scaled_dot_product_attention(query[None], key.mT[None], value[None], scale=self._scale)
            return out[0].transpose(0, 1)
        if self._scale != 1.0:
            query = query * self._scale
        # (heads, rows, length)
        scores = query @ key if self._columns[0] else (key.mT @ query.mT).mT.contiguous()
        return (torch.softmax(scores, -1) @ value).transpose(0, 1)  # of no keys come zeros

    @property
    def bytes(self) -> int:
        """What the keys and values take."""
        return sum(part.numel() * part.element_size() for pair in self._layers for part in pair)


def _in_columns(project: nn.Module, states: Tensor) -> Tensor:
    """Return ``project(states)`` transposed, ``(outputs, length)``: the product gives it, no copy."""
    if type(project) is not nn.Linear:
        rows: Tensor = project(states)
        return rows.T.contiguous()
    product = project.weight @ states.T
    return product if project.bias is None else product.add_(project.bias[:, None])
