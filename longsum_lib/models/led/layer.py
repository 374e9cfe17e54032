"""LED's encoder layer: sliding windows and global tokens, then the feed-forward block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import LEDConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from longsum_lib.attention.sliding_window.attention import local_rows, rows_near, sliding_window_attention
from longsum_lib.attention.sliding_window.global_rows import global_rows, overwrite_global_rows, project_global_rows
from longsum_lib.attention.sliding_window.global_tokens import GlobalKeys, global_positions, put_rows, real_globals
from longsum_lib.attention.sliding_window.weights import global_token_weights, sliding_window_weights
from longsum_lib.models.core.dense_parameters import dense_parameters, has_dense_parameters
from longsum_lib.models.core.embedding import check_heads
from longsum_lib.models.core.feed_forward import FeedForward
from longsum_lib.models.core.looking import Freedom
from longsum_lib.models.core.states import by_chunks, clamp_half, dropout, merge_heads, split_heads
from longsum_lib.models.core.streaming import NearKeys, can_stream, chunks, rows_per_step, run_chunks, where_to

GlobalWeights = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Weight and bias of the projections of query, key and value."""


class LongformerSelfAttention(nn.Module):
    """Projections and attention of one encoder layer; local and global tokens have projections of their own."""

    def __init__(self, config: LEDConfig, layer_idx: int):
        super().__init__()
        d_model, self.heads = config.d_model, check_heads(config, "d_model", "encoder_attention_heads")
        self.window = one_sided_windows(config)[layer_idx]
        self.dropout = config.attention_dropout
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.query_global = nn.Linear(d_model, d_model)
        self.key_global = nn.Linear(d_model, d_model)
        self.value_global = nn.Linear(d_model, d_model)

    def forward(self, states: Tensor, padding: Tensor | None, is_global: Tensor | None) -> tuple[Tensor]:
        """Attend from every token of ``(batch, length, d_model)``; same shape back, before the output projection."""
        return (self.attend(states, padding, is_global),)

    def attend(self, states: Tensor, padding: Tensor | None, is_global: Tensor | None) -> Tensor:
        """Do what ``forward`` says, without its hooks."""
        scale = (states.shape[-1] // self.heads) ** -0.5
        dropout = self.dropout if self.training else 0.0
        query, key, value = (split_heads(p(states), self.heads) for p in (self.query, self.key, self.value))
        if is_global is None:
            return merge_heads(
                sliding_window_attention(
                    query, key, value, window=self.window, padding=padding, scale=scale, dropout=dropout
                )
            )
        context = local_rows(query, key, value, self.window, is_global, padding, scale, dropout)
        del query, key, value
        return merge_heads(self._global_rows(context, states, padding, is_global, scale, dropout))

    def _global_rows(
        self,
        context: Tensor,
        states: Tensor,
        padding: Tensor | None,
        is_global: Tensor,
        scale: float,
        dropout: float,
    ) -> Tensor:
        weights = self._global_weights(states.dtype)
        if weights is not None:
            return overwrite_global_rows(context, states, *weights, is_global, padding, scale, dropout)
        return project_global_rows(context, states, self._global_modules(), is_global, padding, scale, dropout)

    def _global_modules(self) -> tuple[nn.Module, ...]:
        return self.query_global, self.key_global, self.value_global

    def _global_weights(self, dtype: torch.dtype) -> GlobalWeights | None:
        """Weights and biases to absorb, quantized ones restored; ``None`` where adapted projections have none."""
        query, key, value = (_weight_and_bias(m, dtype) for m in self._global_modules())
        return None if query is None or key is None or value is None else (*query, *key, *value)

    def can_stream(self, is_global: Tensor | None) -> bool:
        """Whether :meth:`stream` can do it: rows of global tokens need plain projections."""
        return is_global is None or all(has_dense_parameters(m) for m in self._global_modules())

    def stream(
        self, states: Tensor, padding: Tensor | None, is_global: Tensor | None
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Attend chunk by chunk, at inference: yield ``first``, ``end`` and the context ``(1, rows, d_model)``.

        Args:
            states: one sequence ``(1, length, d_model)``. Rows up to ``end`` may be overwritten after each step.
            padding: ``(1, length)`` bool or ``None``.
            is_global: ``(1, length)`` bool or ``None``.
        """
        length = states.shape[1]
        scale = (states.shape[-1] // self.heads) ** -0.5
        globals_, own = self._stream_globals(states, padding, is_global, scale)

        near = NearKeys(lambda x: (self.key(x), self.value(x)), states, self.heads)
        for first, end in chunks(length, rows_per_step(states)):
            key, value = near.move(first - self.window, end + self.window)
            real = None if padding is None else padding[:, near.first : near.end]
            query = split_heads(self.query(states[:, first:end]), self.heads)
            context = rows_near(
                query, key, value, globals_, self.window, real, scale, first=first, before=first - near.first
            )
            if globals_ is not None and own is not None:
                context = put_rows(context, own, *globals_.within(first, end))
            yield first, end, merge_heads(context)

    def _stream_globals(
        self, states: Tensor, padding: Tensor | None, is_global: Tensor | None, scale: float
    ) -> tuple[GlobalKeys | None, Tensor | None]:
        """Global tokens as keys of local queries, and their own attention ``(1, heads, globals, dim)``."""
        if is_global is None:
            return None, None
        positions, exists = global_positions(real_globals(is_global, padding))
        if positions.shape[1] == 0:
            return None, None
        rows = states[:, positions[0]]
        globals_ = GlobalKeys(
            split_heads(self.key(rows), self.heads), split_heads(self.value(rows), self.heads), positions, exists
        )
        weights = self._global_weights(states.dtype)
        assert weights is not None  # or can_stream() would have said no
        return globals_, global_rows(states, *weights, positions, exists, self.heads, padding, scale)

    def weights(self, states: Tensor, padding: Tensor | None, is_global: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return attention weights for looking at.

        ``(batch, heads, length, globals + 2 * window + 1)`` and, where tokens are global,
        ``(batch, heads, length, globals)``.
        """
        query, key = split_heads(self.query(states), self.heads), split_heads(self.key(states), self.heads)
        local = sliding_window_weights(query, key, window=self.window, is_global=is_global, padding=padding)
        if is_global is None or not is_global.any():
            return local, None
        query, key = (split_heads(p(states), self.heads) for p in (self.query_global, self.key_global))
        return local, global_token_weights(query, key, is_global, padding=padding)


class LEDEncoderAttention(nn.Module):
    """Attention and its output projection, under transformers' parameter names."""

    def __init__(self, config: LEDConfig, layer_idx: int):
        super().__init__()
        self.longformer_self_attn = LongformerSelfAttention(config, layer_idx)
        self.output = nn.Linear(config.d_model, config.d_model)

    def forward(self, states: Tensor, padding: Tensor | None, is_global: Tensor | None) -> tuple[Tensor]:
        """Attend from every token of ``(batch, length, d_model)``; same shape back."""
        return (self.output(self.longformer_self_attn(states, padding, is_global)[0]),)


class LEDEncoderLayer(FeedForward, GradientCheckpointingLayer):
    """Attention and feed-forward block, each followed by a residual sum and a normalization."""

    def __init__(self, config: LEDConfig, layer_idx: int):
        super().__init__()
        self.self_attn = LEDEncoderAttention(config, layer_idx)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.add_feed_forward(config, config.encoder_ffn_dim)

    def forward(
        self, states: Tensor, padding: Tensor | None, is_global: Tensor | None, freedom: Freedom = Freedom.WHOLE
    ) -> tuple[Tensor]:
        """Transform ``(batch, length, d_model)``; ``freedom`` says how, see :mod:`.looking`."""
        if freedom is Freedom.WHOLE:
            return (self._after_attention(states, self.self_attn(states, padding, is_global)[0]),)
        attention = self.self_attn.longformer_self_attn
        if self.training or not (can_stream(states, freedom) and attention.can_stream(is_global)):
            context = attention.attend(states, padding, is_global)
            return (by_chunks(self._finish, states, context, freedom=freedom),)
        out = where_to(states, freedom)
        for row in range(states.shape[0]):
            one = slice(row, row + 1)
            masks = (None if mask is None else mask[one] for mask in (padding, is_global))
            run_chunks(states[one], attention.stream(states[one], *masks), self._finish, out[one])
        return (out,)

    def _finish(self, states: Tensor, context: Tensor) -> Tensor:
        return self._after_attention(states, self.self_attn.output(context))

    def _after_attention(self, states: Tensor, attended: Tensor) -> Tensor:
        attended = dropout(attended, self.dropout, self.training)
        states = self.self_attn_layer_norm(clamp_half(states + attended))
        out: Tensor = self.final_layer_norm(clamp_half(states + self.feed_forward(states)))
        return out

    def weights(self, states: Tensor, padding: Tensor | None, is_global: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return attention weights for looking at, see :meth:`LongformerSelfAttention.weights`."""
        return self.self_attn.longformer_self_attn.weights(states, padding, is_global)


def _weight_and_bias(module: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    weight, bias = dense_parameters(module, dtype) or (None, None)
    return None if weight is None or bias is None else (weight, bias)


def one_sided_windows(config: LEDConfig) -> list[int]:
    """Return each layer's radius in tokens; the config counts both sides.

    Raises:
        ValueError: if a window is odd or not positive, or there is not one for every layer.
    """
    windows = config.attention_window
    windows = [windows] * config.encoder_layers if isinstance(windows, int) else list(windows)
    if len(windows) != config.encoder_layers:
        raise ValueError(
            f"config.attention_window has {len(windows)} entries, expected one for each of "
            f"{config.encoder_layers} encoder layers"
        )
    for window in windows:
        if window <= 0 or window % 2:
            raise ValueError(f"config.attention_window has {window}, expected an even number > 0: it counts both sides")
    return [window // 2 for window in windows]
