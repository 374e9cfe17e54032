"""BigBird-Pegasus' encoder layer: attention to neighbouring blocks, both ends and random blocks, then feed-forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import BigBirdPegasusConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from longsum_lib.attention.big_bird.attention import BigBird, big_bird_attention, big_bird_weights, inner_sets
from longsum_lib.attention.engine.attend import block_attention
from longsum_lib.attention.engine.running import RunningAttention
from longsum_lib.models.core.embedding import check_heads
from longsum_lib.models.core.feed_forward import FeedForward
from longsum_lib.models.core.looking import Freedom
from longsum_lib.models.core.states import by_chunks, clamp_half, dropout, merge_heads, split_heads
from longsum_lib.models.core.streaming import NearKeys, can_stream, chunks, run_chunks, where_to, whole_blocks

# Names of one formula, GELU by tanh, that transformers computes in eight passes over its input and torch in one.
TANH_GELUS = ("gelu_new", "gelu_fast")


class BlockSparseAttention(nn.Module):
    """Projections and attention of one encoder layer."""

    def __init__(self, config: BigBirdPegasusConfig, layer_idx: int):
        super().__init__()
        d_model, self.heads = config.d_model, check_heads(config, "d_model", "encoder_attention_heads")
        self.config, self.layer_idx, self.dropout = config, layer_idx, config.attention_dropout
        self.query = nn.Linear(d_model, d_model, bias=config.use_bias)
        self.key = nn.Linear(d_model, d_model, bias=config.use_bias)
        self.value = nn.Linear(d_model, d_model, bias=config.use_bias)

    def task(self, length: int) -> BigBird:
        """The pattern for an input of ``length`` tokens."""
        config = self.config
        kind, seed = getattr(config, "random_blocks", "reference"), self.layer_idx
        if kind == "seeded":
            seed += 1009 * getattr(config, "random_seed", 0)
        elif kind == "reference" and self.training:
            kind = "reference-training"
        return BigBird(
            # A block as long as the input leaves nothing out.
            block_size=max(1, length) if config.attention_type == "original_full" else config.block_size,
            num_random_blocks=config.num_random_blocks,
            random_blocks=kind,
            seed=seed,
            max_length=config.max_position_embeddings,
            last_block=getattr(config, "last_block", "input"),
        )

    def forward(self, states: Tensor, padding: Tensor | None) -> tuple[Tensor, None]:
        """Attend from every token of ``(batch, length, d_model)``; same shape back, before the output projection.

        The weights, the second of the two, are made apart, see :meth:`weights`.
        """
        return self.attend(states, padding), None

    def attend(self, states: Tensor, padding: Tensor | None) -> Tensor:
        """Do what ``forward`` says, without its hooks."""
        task = self.task(states.shape[1])
        # Like transformers, no weight of the sparse pattern is dropped.
        dropout = self.dropout if self.training and task.is_short(states.shape[1]) else 0.0
        query, key, value = (split_heads(p(states), self.heads) for p in (self.query, self.key, self.value))
        # Not `vars`, which torch 2.11 cannot trace.
        sizes = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
        return merge_heads(big_bird_attention(query, key, value, **sizes, padding=padding, dropout=dropout))

    def stream(self, states: Tensor, padding: Tensor | None, norm: nn.Module) -> Iterator[tuple[int, int, Tensor]]:
        """Attend chunk by chunk, at inference: yield ``first``, ``end`` and the context ``(1, rows, d_model)``.

        The two ends, which see everything, come last.

        Args:
            states: one sequence ``(1, length, d_model)``, not normalized. What was yielded may be overwritten.
            padding: ``(1, length)`` bool or ``None``.
            norm: normalizes the states.
        """
        length, scale = states.shape[1], (states.shape[-1] // self.heads) ** -0.5
        task = self.task(length)
        size, last = task.block_size, task.last_block_start(length)
        normed = norm(torch.cat([states[:, :size], states[:, last:]], 1))
        query, ends_key, ends_value = (split_heads(p(normed), self.heads) for p in (self.query, self.key, self.value))
        ends_real = None if padding is None else torch.cat([padding[:, :size], padding[:, last:]], 1)
        asking = RunningAttention(query, scale)
        near = NearKeys(lambda x: tuple(p(y) for y in (norm(x),) for p in (self.key, self.value)), states, self.heads)
        for first, end in chunks(length, whole_blocks(states, size)):
            key, value = near.move(first - size, end + size)
            own = slice(first - near.first, end - near.first)
            asking.add(key[:, :, own], value[:, :, own], None if padding is None else padding[:, first:end])
            first, end = max(first, size), min(end, last)
            if first < end:
                inner = slice(max(near.first, size), min(near.end, last))
                around = slice(inner.start - near.first, inner.stop - near.first)
                near_real = None if padding is None else padding[:, inner]
                ends = (ends_key, ends_value, ends_real)
                start = first - size - inner.start
                sets = inner_sets(key[:, :, around], value[:, :, around], near_real, *ends, task, start=start)
                query = split_heads(self.query(norm(states[:, first:end])), self.heads)
                real = None if padding is None else padding[:, first:end]
                yield first, end, merge_heads(block_attention(query, sets, scale=scale, attend=real))
        context = merge_heads(asking.result())
        if ends_real is not None:
            context = context.masked_fill(~ends_real[..., None], 0.0)
        yield 0, size, context[:, :size]
        yield last, length, context[:, size:]

    def weights(self, states: Tensor, padding: Tensor | None) -> Tensor:
        """Return attention weights ``(batch, heads, length, length)`` for looking at, see :func:`.big_bird_weights`."""
        query, key = (split_heads(p(states), self.heads) for p in (self.query, self.key))
        return big_bird_weights(query, key, self.task(states.shape[1]), padding)


class BigBirdPegasusEncoderAttention(nn.Module):
    """Attention and its output projection, under transformers' parameter names."""

    def __init__(self, config: BigBirdPegasusConfig, layer_idx: int):
        super().__init__()
        self.self = BlockSparseAttention(config, layer_idx)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.use_bias)

    def forward(self, states: Tensor, padding: Tensor | None) -> tuple[Tensor, None]:
        """Attend from every token of ``(batch, length, d_model)``; same shape back, and no weights."""
        return self.output(self.self(states, padding)[0]), None


class BigBirdPegasusEncoderLayer(FeedForward, GradientCheckpointingLayer):
    """Attention and feed-forward block, each after a normalization."""

    def __init__(self, config: BigBirdPegasusConfig, layer_idx: int):
        super().__init__()
        self.self_attn = BigBirdPegasusEncoderAttention(config, layer_idx)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.add_feed_forward(config, config.encoder_ffn_dim)
        self.activation_dropout = 0.0  # the encoder of transformers has none
        if config.activation_function in TANH_GELUS:
            self.activation_fn = nn.GELU(approximate="tanh")

    def forward(self, states: Tensor, padding: Tensor | None, freedom: Freedom = Freedom.WHOLE) -> Tensor:
        """Transform ``(batch, length, d_model)``; ``freedom`` says how, see :mod:`.looking`."""
        attention, norm, length = self.self_attn.self, self.self_attn_layer_norm, states.shape[1]
        if freedom is Freedom.WHOLE:
            return self._after_attention(states, self.self_attn(norm(states), padding)[0])
        if self.training or not (can_stream(states, freedom) and attention.task(length).is_near(length, padding)):
            context = attention.attend(by_chunks(norm, states, freedom=freedom.and_keep), padding)
            return by_chunks(self._finish, states, context, freedom=freedom)
        out = where_to(states, freedom)
        for row in range(states.shape[0]):
            one = slice(row, row + 1)
            stream = attention.stream(states[one], None if padding is None else padding[one], norm)
            run_chunks(states[one], stream, self._finish, out[one])
        return out

    def _finish(self, states: Tensor, context: Tensor) -> Tensor:
        return self._after_attention(states, self.self_attn.output(context))

    def _after_attention(self, states: Tensor, attended: Tensor) -> Tensor:
        states = clamp_half(states + dropout(attended, self.dropout, self.training))
        return clamp_half(states + self.feed_forward(self.final_layer_norm(states)))

    def weights(self, states: Tensor, padding: Tensor | None) -> Tensor:
        """Return attention weights for looking at, see :func:`.big_bird_weights`."""
        return self.self_attn.self.weights(self.self_attn_layer_norm(states), padding)
