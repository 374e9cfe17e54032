"""Encoder layers and position tables of LSG models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from longsum_lib.attention.lsg.attention import lsg_attention
from longsum_lib.attention.lsg.sparse import Hashes
from longsum_lib.models.core.embedding import check_heads
from longsum_lib.models.core.feed_forward import FeedForward
from longsum_lib.models.core.looking import Freedom
from longsum_lib.models.core.states import by_chunks, clamp_half, dropout, merge_heads, rows_per_chunk, split_heads
from longsum_lib.models.lsg.fields import LSGFields


def attend(
    config: LSGFields,
    heads: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    hashes: Hashes | None,
    dropout: float,
) -> Tensor:
    """Attend as the config says: projections ``(batch, globals + length, d_model)`` to the same shape."""
    out = lsg_attention(
        *(split_heads(states, heads) for states in (query, key, value)),
        num_global_tokens=config.num_global_tokens,
        block_size=config.block_size,
        sparse_block_size=config.sparse_block_size,
        sparsity_factor=config.sparsity_factor,
        sparsity_type=config.sparsity_type,
        padding=padding,
        dropout=dropout,
        hashes=hashes,
        mask_empty_groups=masks_empty_groups(config, query.dtype),
        strict_geometry=False,  # the config has checked it
    )
    return merge_heads(out)


def masks_empty_groups(config: LSGFields, dtype: torch.dtype) -> bool:
    """Whether sparse keys that stand for padding only are hidden; the published code does so in fp16 alone."""
    return config.mask_empty_groups or dtype == torch.float16


class LSGSelfAttention(nn.Module):
    """Projections and attention of one encoder layer; global tokens share the projections."""

    def __init__(self, config: LSGFields):
        super().__init__()
        d_model, self.config = config.d_model, config
        self.heads = check_heads(config, "d_model", "encoder_attention_heads")
        self.dropout = config.attention_dropout
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.q_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, states: Tensor, padding: Tensor | None, hashes: Hashes | None) -> Tensor:
        """Attend from ``(batch, globals + length, d_model)``; the same shape back."""
        out: Tensor = self.out_proj(self.attend(states, padding, hashes, None, Freedom.WHOLE))
        return out

    def attend(
        self,
        states: Tensor,
        padding: Tensor | None,
        hashes: Hashes | None,
        norm: nn.LayerNorm | None,
        freedom: Freedom,
    ) -> Tensor:
        """Do what ``forward`` does, before the output projection; ``norm`` is applied to the states first."""
        query, key, value = project(states, (self.q_proj, self.k_proj, self.v_proj), norm, freedom)
        dropout = self.dropout if self.training else 0.0
        return attend(self.config, self.heads, query, key, value, padding, hashes, dropout)


def project(states: Tensor, projections: Sequence[nn.Module], norm: nn.Module | None, freedom: Freedom) -> list[Tensor]:
    """Normalize and project ``(batch, length, d_model)``; where nobody looks no whole normalized copy is made."""
    if norm is None:
        return [projection(states) for projection in projections]
    step = rows_per_chunk(states)
    if freedom is Freedom.WHOLE or states.shape[1] <= step:
        states = norm(states)
        return [projection(states) for projection in projections]
    out: list[Tensor] = []
    for batch in range(states.shape[0]):
        for first in range(0, states.shape[1], step):
            rows = (slice(batch, batch + 1), slice(first, first + step))
            normed = norm(states[rows])
            parts = [projection(normed) for projection in projections]
            out = out or [part.new_empty(*states.shape[:2], part.shape[-1]) for part in parts]
            for target in reversed(out):
                target[rows] = parts.pop()
            del normed  # else it lives while the next chunk is normalized
    return out


class LSGEncoderLayer(FeedForward, GradientCheckpointingLayer):
    """Attention and feed-forward block with residual sums; normalized before (Pegasus) or after each (BART)."""

    def __init__(self, config: LSGFields, *, pre_norm: bool):
        super().__init__()
        self.pre_norm = pre_norm
        self.self_attn = LSGSelfAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.add_feed_forward(config, config.encoder_ffn_dim)

    def forward(
        self,
        states: Tensor,
        padding: Tensor | None,
        hashes: Hashes | None = None,
        freedom: Freedom = Freedom.WHOLE,
    ) -> Tensor:
        """Transform ``(batch, globals + length, d_model)``; ``freedom`` says how, see :mod:`.looking`."""
        norm = self.self_attn_layer_norm if self.pre_norm else None
        if freedom is Freedom.WHOLE:
            normed = states if norm is None else norm(states)
            return self._after_attention(states, self.self_attn(normed, padding, hashes))
        context = self.self_attn.attend(states, padding, hashes, norm, freedom)
        return by_chunks(self._finish, states, context, freedom=freedom)

    def _finish(self, states: Tensor, context: Tensor) -> Tensor:
        return self._after_attention(states, self.self_attn.out_proj(context))

    def _after_attention(self, states: Tensor, attended: Tensor) -> Tensor:
        states = clamp_half(states + dropout(attended, self.dropout, self.training))
        if self.pre_norm:
            return clamp_half(states + self.feed_forward(self.final_layer_norm(states)))
        states = self.self_attn_layer_norm(states)
        out: Tensor = self.final_layer_norm(clamp_half(states + self.feed_forward(states)))
        return out


class SinusoidalPositions(nn.Module):
    """Pegasus' table of sines and cosines: a buffer, since transformers trains every parameter that it loads."""

    weight: Tensor

    def __init__(self, positions: int, d_model: int):
        super().__init__()
        self.positions, self.embedding_dim = positions, d_model
        self.register_buffer("weight", torch.empty(positions, d_model))
        if self.weight.device.type != "meta":
            self.weight.copy_(self.table())

    def table(self) -> Tensor:
        r"""Return :math:`\sin(p\,10000^{-2k/d})`, then the cosines: ``(rows, d_model)``, computed in fp64."""
        rows, dim = self.weight.shape
        device = torch.device("cpu") if self.weight.device.type == "meta" else self.weight.device
        rates = 10000.0 ** -(torch.arange(0, dim, 2, dtype=torch.float64, device=device) / dim)
        angles = torch.arange(rows, dtype=torch.float64, device=device)[:, None] * rates  # (rows, ceil(d / 2))
        return torch.cat([angles.sin(), angles[:, : dim // 2].cos()], 1)

    def forward(self, first: int | Tensor, length: int) -> Tensor:
        """Rows of the positions from ``first`` on: ``(length, d_model)``."""
        if isinstance(first, int):
            return self.weight[first : first + length]
        return self.weight[torch.arange(length, device=self.weight.device) + first]


class LearnedPositions(nn.Embedding):
    """BART's learned table; its first two rows stand for no position."""

    OFFSET = 2

    def __init__(self, rows: int, d_model: int):
        super().__init__(rows + self.OFFSET, d_model)

    def forward(  # type: ignore[override]  # a place and a length, as of the sinusoids, and no ids
        self, first: int | Tensor, length: int
    ) -> Tensor:
        """Rows of the positions from ``first`` on: ``(length, d_model)``."""
        if isinstance(first, int):
            # Without autograd a view of the weight still asks for gradients, which counters of FLOPs do not expect.
            weight = self.weight if torch.is_grad_enabled() else self.weight.detach()
            return weight[first + self.OFFSET : first + self.OFFSET + length]
        return super().forward(torch.arange(length, device=self.weight.device) + first + self.OFFSET)

    @property
    def positions(self) -> int:
        """Tokens that the table reaches."""
        return self.num_embeddings - self.OFFSET
