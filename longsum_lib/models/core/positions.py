"""Position tables that are computed, not learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from longsum_lib.upstream.torch import tracing


def sinusoids(length: int, d_model: int, *, first: int = 0, device: torch.device | None = None) -> Tensor:
    r"""Return PEGASUS-X's sinusoids: sines in the first half of the columns, cosines in the second.

    .. math:: S_{p, k} = \sin(p f_k), \quad S_{p, d/2 + k} = \cos(p f_k), \quad f_k = 10000^{-k / (d/2 - 1)}

    Args:
        length: number of positions.
        d_model: number of columns, even.
        first: the first position.
        device: where the table lives.

    Returns:
        ``(length, d_model)`` fp32, whatever the model's dtype: in bf16 the positions themselves are rounded, and
        of 4,096 positions only 769 rows stay distinct.

    Raises:
        ValueError: if ``d_model`` is odd.

    Source:
        Phang, Zhao and Liu 2022; note the ``d/2 - 1``, where PEGASUS has ``d/2``.

    Example:
        >>> torch.allclose(sinusoids(2, 4)[1, :2], torch.tensor([math.sin(1), math.sin(1e-4)]))
        True
    """
    if d_model % 2:
        raise ValueError(f"d_model is {d_model}, expected an even number: half of the columns are sines")
    half = d_model // 2
    # In fp32 whatever the default dtype is: a whole number times a Python float would take that one.
    frequency = torch.exp(
        torch.arange(half, device=device, dtype=torch.float32) * -(math.log(10000.0) / max(1, half - 1))
    )
    place = torch.arange(first, first + length, device=device, dtype=torch.float32)[:, None]
    if tracing():
        return torch.cat([(place * frequency).sin(), (place * frequency).cos()], dim=-1)
    table = torch.empty(length, d_model, device=device, dtype=torch.float32)
    sines, cosines = table[:, :half], table[:, half:]  # both made where they stay: no tensor beside the table
    torch.sin(torch.mul(place, frequency, out=cosines), out=sines)
    cosines.cos_()
    return table


class SinusoidalPositions(nn.Module):
    """Sinusoids of any length, computed in fp32 and kept; it has no weights.

    Args:
        d_model: number of columns.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.d_model = d_model
        self._table: Tensor | None = None

    def forward(self, length: int, device: torch.device) -> Tensor:
        """Return the table of positions 0 to ``length - 1``: ``(length, d_model)`` fp32."""
        if tracing():
            return sinusoids(length, self.d_model, device=device)
        if self._table is None or self._table.shape[0] < length or self._table.device != device:
            self._table = sinusoids(max(length, 1024), self.d_model, device=device)
        return self._table[:length]


class ScaledEmbedding(nn.Embedding):
    """An embedding whose vectors come out multiplied by a factor; the stored weights are not.

    Args:
        vocab_size: number of tokens.
        d_model: size of a vector.
        padding_idx: token whose vector starts as zeros.
        embed_scale: the factor. peft asks for it by this name, and applies it to what it looks up by itself.
    """

    def __init__(self, vocab_size: int, d_model: int, padding_idx: int | None, embed_scale: float) -> None:
        super().__init__(vocab_size, d_model, padding_idx)
        self.embed_scale = embed_scale

    @classmethod
    def of(cls, config: PreTrainedConfig) -> ScaledEmbedding:
        """Make the embedding of a config of Pegasus' family."""
        scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        return cls(config.vocab_size, config.d_model, config.pad_token_id, scale)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Look up ``(batch, length)`` ids: ``(batch, length, d_model)``."""
        states = super().forward(input_ids)
        return states * self.embed_scale if torch.is_grad_enabled() else states.mul_(self.embed_scale)
