"""The layers of LongT5: normalization, feed-forward layer, attention, and the blocks of encoder and decoder.

In fp16 the residual stream and the last product of the feed-forward layers are fp32: both leave the range of fp16 in
T5's family, which the reference notices only when they have become infinite.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LongT5Config
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from longsum_lib.attention.relative_position import distance_bias, distances
from longsum_lib.attention.transient_global.attention import (
    SideKeys,
    rows_near,
    transient_global_attention,
    transient_sums,
)
from longsum_lib.attention.transient_global.weights import transient_global_weights
from longsum_lib.models.core.decoder import DecoderAttention
from longsum_lib.models.core.feed_forward import recomputed
from longsum_lib.models.core.looking import Freedom, is_plain
from longsum_lib.models.core.states import by_chunks, clamp_half, dropout, merge_heads, split_heads
from longsum_lib.models.core.step.parts import DecoderParts
from longsum_lib.models.core.streaming import (
    NearKeys,
    can_stream,
    chunks,
    rows_per_step,
    run_chunks,
    where_to,
    whole_blocks,
)


class RMSNorm(nn.Module):
    """Divide by the root mean square, multiply by a weight; no mean, no bias."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.eps = config.layer_norm_epsilon

    def forward(self, states: Tensor) -> Tensor:
        """Normalize ``(…, d_model)`` in fp32; the result has the dtype of a half-precision weight."""
        states = states.to(torch.promote_types(states.dtype, torch.float32))
        states = states * torch.rsqrt(_mean_square(states) + self.eps)
        if self.weight.dtype in (torch.float16, torch.bfloat16):
            states = states.to(self.weight.dtype)
        return self.weight * states if torch.is_grad_enabled() else states.mul_(self.weight)


def _mean_square(states: Tensor) -> Tensor:
    """Mean of the squares of each row ``(…, 1)``; in one pass where autograd does not watch."""
    if torch.is_grad_enabled():
        return states.square().mean(-1, keepdim=True)
    return torch.linalg.vector_norm(states, dim=-1, keepdim=True).square_().div_(states.shape[-1])


def spread(module: nn.Linear | nn.Embedding, std: float) -> nn.Module:
    """Note on a module how far its fresh weights spread, where :class:`.LongT5PreTrainedModel` reads it."""
    module.init_std = std
    return module


def _linear(inputs: int, outputs: int, std: float) -> nn.Linear:
    return spread(nn.Linear(inputs, outputs, bias=False), std)


class DenseReluDense(nn.Module):
    """``wo(act(wi x))``, or gated: ``wo(act(wi_0 x) · wi_1 x)``. The reference's name, whatever the activation."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        self.gated, self.dropout = config.is_gated_act, config.dropout_rate
        # `gelu_new` in one pass rather than eight; both round the same formula.
        name = config.dense_act_fn
        self.act = nn.GELU(approximate="tanh") if name == "gelu_new" else ACT2FN[name]
        size, inner = config.d_model, config.d_ff
        for name in ("wi_0", "wi_1") if self.gated else ("wi",):
            self.add_module(name, _linear(size, inner, size**-0.5))
        self.wo = _linear(inner, size, inner**-0.5)

    def forward(self, states: Tensor) -> Tensor:
        """Transform ``(…, d_model)``; of fp16 states comes an fp32 result."""
        wide = [_widen(p(states)) for p in ((self.wi_0, self.wi_1) if self.gated else (self.wi,))]
        return recomputed(self, self._from_inner, *wide, random=self.training and self.dropout > 0.0)

    def _from_inner(self, inner: Tensor, gate: Tensor | None = None) -> Tensor:
        inner = self.act(inner)
        inner = dropout(inner if gate is None else inner * gate, self.dropout, self.training)
        weight = self.wo.weight
        if not isinstance(weight, Tensor):  # a layer of `torch.ao`'s dynamic quantization, which takes fp32
            return self.wo(inner)
        if weight.dtype == torch.float16:  # a model cast as a whole, past `_keep_in_fp32_modules`
            if is_plain(self.wo):
                return F.linear(inner.float(), weight.float())
            return _in_range(self.wo, inner)
        return self.wo(inner.to(weight.dtype) if weight.is_floating_point() else inner)


def _in_range(projection: nn.Module, states: Tensor) -> Tensor:
    """Call a linear fp16 module on fp32 rows, each divided by a power of two so that it stays in the format's range."""
    largest = states.abs().amax(-1, keepdim=True)
    power = torch.exp2(torch.log2(largest.clamp(min=1.0)).ceil()).detach()
    return projection((states / power).half()).float() * power


def _widen(states: Tensor) -> Tensor:
    """Bring fp16 states to fp32, infinities made finite; others pass unchanged."""
    return clamp_half(states).float() if states.dtype == torch.float16 else states


class LayerFF(nn.Module):
    """Feed-forward layer with its norm and residual sum."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        self.DenseReluDense = DenseReluDense(config)
        self.layer_norm = RMSNorm(config)
        self.dropout = config.dropout_rate

    def forward(self, states: Tensor) -> Tensor:
        """Transform ``(…, d_model)``."""
        return states + dropout(self.DenseReluDense(self.layer_norm(states)), self.dropout, self.training)


def add_projections(module: nn.Module, config: LongT5Config, *biases: str) -> None:
    """Give a module the projections ``q``, ``k``, ``v``, ``o``, and tables of biases by the names asked for."""
    size, inner = config.d_model, config.num_heads * config.d_kv
    # Scores are not scaled: the weights of the queries are smaller instead.
    module.q = _linear(size, inner, (size * config.d_kv) ** -0.5)
    module.k = _linear(size, inner, size**-0.5)
    module.v = _linear(size, inner, size**-0.5)
    module.o = _linear(inner, size, inner**-0.5)
    for name in biases:
        table = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)
        module.add_module(name, spread(table, size**-0.5))


class EncoderAttention(nn.Module):
    """Projections and attention of one encoder block; block 0 owns the biases that all blocks use."""

    def __init__(self, config: LongT5Config, has_bias: bool):
        super().__init__()
        self.heads, self.window, self.dropout = config.num_heads, config.local_radius, config.dropout_rate
        self.block_size, self.max_distance = config.global_block_size, config.relative_attention_max_distance
        self.transient = config.encoder_attention_type == "transient-global"
        names = ("relative_attention_bias", "global_relative_attention_bias")[: 1 + self.transient]
        add_projections(self, config, *(names if has_bias else ()))
        if self.transient:
            self.global_input_layer_norm = RMSNorm(config)

    def biases(self, length: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Return the biases of block 0 for documents of ``length`` tokens: one number a head and distance.

        Those of near tokens, and those of transient tokens where there are some. They are handed to the blocks one by
        one: re-entrant checkpointing finds no tensor inside a dict.
        """
        reach = {"max_distance": self.max_distance}
        table = bias_table(self.relative_attention_bias, device)
        local = distance_bias(table, distances(self.window, device), **reach)
        if not self.transient:
            return local, None
        table = bias_table(self.global_relative_attention_bias, device)
        between = distances(length // self.block_size - 1, device)  # of blocks; none if there is no block
        return local, distance_bias(table, between, **reach)

    def project(self, states: Tensor, padding: Tensor | None) -> dict[str, Tensor]:
        """Return what takes part in the attention over normalized ``(batch, length, d_model)``, split by heads."""
        side = {}
        if self.transient:
            sums = transient_sums(states, block_size=self.block_size, padding=padding)
            tokens = self.global_input_layer_norm(sums).to(states.dtype)
            side = {"side_key": split_heads(self.k(tokens), self.heads)}
            side["side_value"] = split_heads(self.v(tokens), self.heads)
        query, key, value = (split_heads(p(states), self.heads) for p in (self.q, self.k, self.v))
        return {"query": query, "key": key, "value": value} | side

    def stream(
        self,
        states: Tensor,
        padding: Tensor | None,
        local_bias: Tensor,
        side_bias: Tensor | None,
        norm: nn.Module,
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Attend chunk by chunk, at inference: yield ``first``, ``end`` and the context ``(1, rows, inner)``.

        Args:
            states: one sequence ``(1, length, d_model)``, not normalized. Rows up to ``end`` may be overwritten.
            padding: ``(1, length)`` bool or ``None``.
            local_bias: of :meth:`biases`.
            side_bias: likewise.
            norm: normalizes the states.
        """
        length, rows = states.shape[1], rows_per_step(states)
        side = None
        if self.transient:
            rows = whole_blocks(states, self.block_size)
            side = self._side_keys(states, padding, side_bias, norm, rows)
        near = NearKeys(lambda x: tuple(p(y) for y in (norm(x),) for p in (self.k, self.v)), states, self.heads)
        for first, end in chunks(length, rows):
            key, value = near.move(first - self.window, end + self.window)
            query = split_heads(self.q(norm(states[:, first:end])), self.heads)
            real = None if padding is None else padding[:, near.first : near.end]
            where = {"first": first, "before": first - near.first}
            context = rows_near(query, key, value, side, local_bias, real, self.window, 1.0, **where)
            yield first, end, merge_heads(context)

    def _side_keys(self, states, padding, bias, norm, rows) -> SideKeys:
        sums = transient_sums(states, block_size=self.block_size, padding=padding, norm=norm, rows_per_step=rows)
        tokens = self.global_input_layer_norm(sums).to(norm(states[:, :1]).dtype)
        key, value = (split_heads(p(tokens), self.heads) for p in (self.k, self.v))
        return SideKeys.of(key, value, bias, padding, states.shape[1], self.block_size)

    def _geometry(self) -> dict:
        return {"window": self.window, "block_size": self.block_size, "scale": 1.0}

    def forward(
        self, states: Tensor, padding: Tensor | None, local_bias: Tensor, side_bias: Tensor | None
    ) -> tuple[Tensor]:
        """Attend from normalized ``(batch, length, d_model)``; the same shape back."""
        return (clamp_half(self.o(self.attend(states, padding, local_bias, side_bias))),)

    def attend(self, states: Tensor, padding: Tensor | None, local_bias: Tensor, side_bias: Tensor | None) -> Tensor:
        """Attend from normalized ``(batch, length, d_model)``; ``(batch, length, inner)``, before ``o``."""
        context = transient_global_attention(
            **self.project(states, padding),
            local_bias=local_bias,
            side_bias=side_bias,
            padding=padding,
            dropout=self.dropout if self.training else 0.0,
            **self._geometry(),
        )
        return merge_heads(context)

    def weights(self, states: Tensor, padding: Tensor | None, local_bias: Tensor, side_bias: Tensor | None) -> Tensor:
        """Return attention weights for looking at, see :func:`.transient_global_weights`."""
        asked = {name: part for name, part in self.project(states, padding).items() if "value" not in name}
        biases = {"local_bias": local_bias, "side_bias": side_bias}
        return transient_global_weights(**asked, **biases, padding=padding, **self._geometry())


def bias_table(embedding: nn.Embedding, device: torch.device) -> Tensor:
    """Return the whole table ``(buckets, heads)``, through the module: offloaded weights are not there before."""
    return embedding(torch.arange(embedding.num_embeddings, device=device))


ATTENTION_NAMES = {"local": "LocalSelfAttention", "transient-global": "TransientGlobalSelfAttention"}


class EncoderSelfAttentionLayer(nn.Module):
    """Attention with its norm, under the parameter name of its kind."""

    def __init__(self, config: LongT5Config, has_bias: bool):
        super().__init__()
        kind = config.encoder_attention_type
        if kind not in ATTENTION_NAMES:
            raise ValueError(f"config.encoder_attention_type is {kind!r}, expected 'local' or 'transient-global'")
        self._name = ATTENTION_NAMES[kind]
        self.dropout = config.dropout_rate
        self.add_module(self._name, EncoderAttention(config, has_bias))
        self.layer_norm = RMSNorm(config)

    @property
    def attention(self) -> EncoderAttention:
        """The attention, whatever its kind."""
        return getattr(self, self._name)

    def forward(
        self, states: Tensor, padding: Tensor | None, local_bias: Tensor, side_bias: Tensor | None
    ) -> tuple[Tensor]:
        """Transform ``(batch, length, d_model)``."""
        attended = self.attention(self.layer_norm(states), padding, local_bias, side_bias)[0]
        return (self.add(states, attended),)

    def add(self, states: Tensor, attended: Tensor) -> Tensor:
        """Add to the states what the attention made of them."""
        return states + dropout(attended, self.dropout, self.training)


class LongT5EncoderBlock(GradientCheckpointingLayer):
    """Attention and feed-forward layer, each after a normalization."""

    def __init__(self, config: LongT5Config, has_bias: bool):
        super().__init__()
        self.layer = nn.ModuleList([EncoderSelfAttentionLayer(config, has_bias), LayerFF(config)])

    def forward(
        self,
        states: Tensor,
        padding: Tensor | None,
        local_bias: Tensor,
        side_bias: Tensor | None,
        freedom: Freedom = Freedom.WHOLE,
    ) -> tuple[Tensor]:
        """Transform ``(batch, length, d_model)``; ``freedom`` says how, see :mod:`.looking`."""
        biases = (local_bias, side_bias)
        if freedom is Freedom.WHOLE:
            return (self.layer[1](self.layer[0](states, padding, *biases)[0]),)
        attention, norm = self.layer[0].attention, self.layer[0].layer_norm
        if not can_stream(states, freedom) or self.training:
            context = attention.attend(by_chunks(norm, states, freedom=freedom.and_keep), padding, *biases)
            return (by_chunks(self._finish, states, context, freedom=freedom),)
        out = where_to(states, freedom)
        for row in range(states.shape[0]):
            one = slice(row, row + 1)
            stream = attention.stream(states[one], None if padding is None else padding[one], *biases, norm)
            run_chunks(states[one], stream, self._finish, out[one])
        return (out,)

    def _finish(self, states: Tensor, context: Tensor) -> Tensor:
        attended = clamp_half(self.layer[0].attention.o(context))
        return self.layer[1](self.layer[0].add(states, attended))

    def weights(self, states: Tensor, padding: Tensor | None, *biases: Tensor | None) -> Tensor:
        """Return attention weights for looking at, see :func:`.transient_global_weights`."""
        return self.layer[0].attention.weights(self.layer[0].layer_norm(states), padding, *biases)


class T5Attention(DecoderAttention):
    """Self- or cross-attention of the decoder under T5's parameter names; scores are not scaled."""

    scale = 1.0

    def __init__(self, config: LongT5Config, layer_idx: int, has_bias: bool):
        nn.Module.__init__(self)
        self.heads, self.dropout, self.layer_idx = config.num_heads, config.dropout_rate, layer_idx
        add_projections(self, config, *(["relative_attention_bias"] if has_bias else []))

    q_proj = property(lambda self: self.q)
    k_proj = property(lambda self: self.k)
    v_proj = property(lambda self: self.v)
    out_proj = property(lambda self: self.o)


class DecoderAttentionLayer(nn.Module):
    """Attention with its norm and residual sum."""

    def __init__(self, config: LongT5Config, layer_idx: int, name: str, has_bias: bool = False):
        super().__init__()
        self._name, self.dropout = name, config.dropout_rate
        self.add_module(name, T5Attention(config, layer_idx, has_bias))
        self.layer_norm = RMSNorm(config)

    @property
    def attention(self) -> T5Attention:
        """Self- or cross-attention."""
        return getattr(self, self._name)

    def forward(self, states: Tensor, mask: Tensor | None, *arguments) -> tuple[Tensor, Tensor | None]:
        """Transform ``(rows, length, d_model)``; arguments as in :class:`.DecoderAttention`."""
        out, weights = self.attention(self.layer_norm(states), mask, *arguments)
        return states + dropout(clamp_half(out), self.dropout, self.training), weights


class LongT5DecoderBlock(GradientCheckpointingLayer):
    """Self-attention, cross-attention and feed-forward layer, each after a normalization."""

    def __init__(self, config: LongT5Config, layer_idx: int):
        super().__init__()
        self.layer = nn.ModuleList(
            [
                DecoderAttentionLayer(config, layer_idx, "SelfAttention", has_bias=layer_idx == 0),
                DecoderAttentionLayer(config, layer_idx, "EncDecAttention"),
                LayerFF(config),
            ]
        )

    def parts(self) -> DecoderParts:
        """Return what the block is made of."""
        own, cross, last = self.layer
        dense, norms = last.DenseReluDense, (own.layer_norm, cross.layer_norm, last.layer_norm)
        inner = (dense.wi_0, dense.wi_1) if dense.gated else (dense.wi,)
        return DecoderParts(own.attention, cross.attention, inner, dense.act, dense.wo, norms, pre_norm=True)

    def forward(self, states, mask, encoder_states, encoder_mask, cache=None, with_weights=False):
        """Return new states ``(rows, length, d_model)`` and the weights of self- and cross-attention or ``None``."""
        states, own = self.layer[0](states, mask, None, cache, with_weights)
        cross = None
        if encoder_states is not None:
            states, cross = self.layer[1](states, encoder_mask, encoder_states, cache, with_weights)
        return self.layer[2](states), own, cross
