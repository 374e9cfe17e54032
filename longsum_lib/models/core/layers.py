"""Layers that several models share: the decoder of BART's family, chunked feed-forward layers, losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers.activations import ACT2FN
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from longsum_lib.models.core.cache import SharedCache, beams_per_document, with_room
from longsum_lib.models.core.few_rows import attend_documents, attend_rows
from longsum_lib.models.core.looking import Freedom, observed
from longsum_lib.models.core.masks import cross_mask, decoder_mask
from longsum_lib.models.core.step.parts import DecoderParts
from longsum_lib.upstream.torch import tracing, transforming
from longsum_lib.upstream.transformers import output_of

# Rows that pass through a feed-forward layer at once at inference: 512 rows of 3,072 fp32 are 6 MiB, which stay in
# the processor's cache between the two products.
ROWS_PER_CHUNK = 512

# While training, an activation of 2²² numbers (16 MiB of fp32) or more is computed twice rather than kept.
NUMBERS_TO_RECOMPUTE = 2**22


def shift_tokens_right(labels: Tensor, pad_token_id: int, decoder_start_token_id: int) -> Tensor:
    """Make decoder inputs of labels ``(batch, length)``: start token in front, last dropped, -100 becomes padding."""
    if pad_token_id is None or decoder_start_token_id is None:
        raise ValueError("config.pad_token_id and config.decoder_start_token_id must be set to make decoder inputs")
    start = labels.new_full((labels.shape[0], 1), decoder_start_token_id)
    shifted = torch.cat([start, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, pad_token_id)


def token_loss(logits: Tensor, labels: Tensor | None) -> Tensor | None:
    """Mean cross-entropy of logits ``(batch, length, vocabulary)`` over labels that are not -100."""
    if labels is None:
        return None
    return F.cross_entropy(logits.flatten(0, 1), labels.reshape(-1).to(logits.device))


def embed_tokens(module: nn.Module, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """Return the embeddings that were given, or look the ids up; exactly one of them must be given.

    Raises:
        ValueError: if both or neither are given, the ids are not ``(batch, length)``, or (on a CPU, where it costs
            nothing to know) an id is not in the vocabulary.
    """
    if (input_ids is None) == (inputs_embeds is None):
        given = "both" if input_ids is not None else "neither"
        raise ValueError(f"{type(module).__name__} got {given} of input_ids and inputs_embeds; give exactly one")
    if inputs_embeds is not None:
        return inputs_embeds
    if input_ids.dim() != 2:
        raise ValueError(f"input_ids has shape {tuple(input_ids.shape)}, expected (batch, length); see input_ids[None]")
    try:
        return module.embed_tokens(input_ids)
    except IndexError as error:
        size, low, high = module.embed_tokens.num_embeddings, int(input_ids.min()), int(input_ids.max())
        raise ValueError(
            f"input_ids holds ids from {low} to {high}, the vocabulary goes from 0 to {size - 1}; use the tokenizer of "
            "this checkpoint (labels of -100 are not ids)"
        ) from error


def split_heads(states: Tensor, heads: int) -> Tensor:
    """View ``(batch, length, heads * dim)`` as ``(batch, heads, length, dim)``."""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(states: Tensor) -> Tensor:
    """Undo :func:`split_heads`; no copy where the heads of a position lie side by side."""
    return states.transpose(1, 2).flatten(2)


def by_chunks(function: Callable[..., Tensor], *inputs: Tensor, freedom: Freedom, out: Tensor | None = None) -> Tensor:
    """Apply a row-wise function of ``(batch, length, …)`` tensors, chunk by chunk where nobody looks.

    Args:
        function: treats every row on its own.
        inputs: tensors with the same first two dimensions.
        freedom: ``IN_PLACE`` lets the result overwrite the first input.
        out: where the result goes otherwise, unless the function is called once.

    Returns:
        ``(batch, length, features)``.

    Cost:
        extra memory: the temporaries of one chunk, beside ``out``.
    """
    length = inputs[0].shape[1]
    if freedom is Freedom.WHOLE:
        return function(*inputs)
    if out is None and freedom is Freedom.IN_PLACE:
        out = inputs[0]
    if length <= ROWS_PER_CHUNK:
        result = function(*inputs)
        return result if out is None else out.copy_(result)
    for batch in range(inputs[0].shape[0]):
        for first in range(0, length, ROWS_PER_CHUNK):
            rows = (slice(batch, batch + 1), slice(first, first + ROWS_PER_CHUNK))
            result = function(*(x[rows] for x in inputs))
            if out is None:
                out = result.new_empty(*inputs[0].shape[:2], *result.shape[2:])
            out[rows] = result
    return out


def clamp_half(states: Tensor) -> Tensor:
    """Keep fp16 states finite, as BART's family does; other dtypes pass unchanged."""
    if states.dtype != torch.float16:
        return states
    limit = torch.finfo(torch.float16).max - 1000
    return states.clamp(-limit, limit)


def dropout(states: Tensor, p: float, training: bool) -> Tensor:
    """Drop features and remember which in one byte each; ``F.dropout`` keeps a float each on the CPU."""
    if not training or p == 0.0:
        return states
    return torch.native_dropout(states, p, True)[0]


def recomputed(owner: nn.Module, function: Callable[..., Tensor], *inputs: Tensor, random: bool = False) -> Tensor:
    """Apply ``projection(activation(inputs))`` and keep for the backward pass the inputs only, if they are large.

    The activation is computed again when its gradient is needed, the projection is not.

    Args:
        owner: the module whose parts the function calls; where hooks would see a second call, there is none.
        function: what to apply.
        inputs: the wide states of a feed-forward block.
        random: whether it drops features.
    """
    watched = torch.is_grad_enabled() and inputs[0].requires_grad and not (tracing() or transforming())
    if not watched or inputs[0].numel() < NUMBERS_TO_RECOMPUTE or observed(owner):
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=random)


class FeedForward:
    """The feed-forward block of BART's family, on the ``fc1`` and ``fc2`` of the layer that mixes it in."""

    def feed_forward(self, states: Tensor) -> Tensor:
        """Apply ``fc2(act(fc1(x)))`` with the two dropouts."""
        random = self.training and self.activation_dropout > 0.0
        out = recomputed(self, self._from_inner, self.fc1(states), random=random)
        return dropout(out, self.dropout, self.training)

    def _from_inner(self, inner: Tensor) -> Tensor:
        return self.fc2(dropout(self.activation_fn(inner), self.activation_dropout, self.training))


class DecoderAttention(nn.Module):
    """Self- or cross-attention of a decoder, with a cache.

    Args:
        d_model: size of the states.
        heads: number of heads.
        dropout: of the attention weights.
        bias: whether the projections have biases.
        layer_idx: number of the layer, for the cache.
    """

    scale: float | None = None  # of the scores; None = head_dim ** -0.5

    def __init__(self, d_model: int, heads: int, dropout: float, bias: bool, layer_idx: int):
        super().__init__()
        if d_model % heads:
            raise ValueError(f"d_model is {d_model}, not a multiple of the number of heads, {heads}")
        self.heads, self.dropout, self.layer_idx = heads, dropout, layer_idx
        self.k_proj = nn.Linear(d_model, d_model, bias=bias)
        self.v_proj = nn.Linear(d_model, d_model, bias=bias)
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self,
        states: Tensor,
        mask: Tensor | None,
        encoder_states: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``states`` ``(rows, length, d_model)`` to themselves or to the documents.

        Args:
            states: what asks.
            mask: bool ``(rows | documents | 1, 1, length | 1, keys)``, ``True`` = may attend; or additive scores.
            encoder_states: ``(documents, keys, d_model)`` for cross-attention; rows are a multiple of documents.
            cache: where keys and values are kept.
            with_weights: also return the weights ``(rows, heads, length, keys)``.

        Returns:
            ``(rows, length, d_model)`` and the weights or ``None``.
        """
        query = split_heads(self.q_proj(states), self.heads)
        if encoder_states is None:
            key, value = (
                split_heads(self.k_proj(states), self.heads),
                split_heads(self.v_proj(states), self.heads),
            )
            if cache is not None:
                key, value = cache.self_attention_cache.update(key, value, self.layer_idx)
            context, weights = attend_rows(query, key, value, mask, self._dropout(), with_weights, self.scale)
        else:
            key, value = self._encoder_keys(encoder_states, cache, len(states))
            context, weights = attend_documents(query, key, value, mask, self._dropout(), with_weights, self.scale)
        return self.out_proj(merge_heads(context)), weights

    def _dropout(self) -> float:
        return self.dropout if self.training else 0.0

    def _encoder_keys(
        self, encoder_states: Tensor, cache: EncoderDecoderCache | None, rows: int
    ) -> tuple[Tensor, Tensor]:
        if cache is not None and cache.is_updated.get(self.layer_idx):
            layer, length = cache.cross_attention_cache.layers[self.layer_idx], encoder_states.shape[1]
            if layer.keys.shape[2] == length:
                return layer.keys, layer.values
            return layer.keys[:, :, :length], layer.values[:, :, :length]
        key = split_heads(self.k_proj(encoder_states), self.heads)
        value = split_heads(self.v_proj(encoder_states), self.heads)
        if cache is not None:
            if not isinstance(cache, SharedCache):  # its owner re-orders it row by row
                beams = beams_per_document(rows, key.shape[0])
                key, value = (t.repeat_interleave(beams, 0) if beams > 1 else t for t in (key, value))
            length = key.shape[2]
            key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
            cache.is_updated[self.layer_idx] = True
            key, value = key[:, :, :length], value[:, :, :length]  # a static cache may have more slots
        return key, value


class DecoderLayer(FeedForward, GradientCheckpointingLayer):
    """A decoder layer of BART's family: self-attention, cross-attention, feed-forward.

    Args:
        config: gives ``d_model``, ``decoder_attention_heads``, ``decoder_ffn_dim``, dropouts and the activation.
        layer_idx: number of the layer.
        pre_norm: normalize before each block (Pegasus) rather than after it (BART, LED).
        bias: whether attention projections have biases.
        ffn_bias: whether the feed-forward projections have biases.
    """

    def __init__(self, config, layer_idx: int, *, pre_norm: bool, bias: bool = True, ffn_bias: bool = True):
        super().__init__()
        d_model, heads = config.d_model, config.decoder_attention_heads
        self.pre_norm, self.dropout, self.activation_dropout = (
            pre_norm,
            config.dropout,
            config.activation_dropout,
        )
        self.activation_fn = ACT2FN[config.activation_function]
        self.self_attn = DecoderAttention(d_model, heads, config.attention_dropout, bias, layer_idx)
        self.self_attn_layer_norm = nn.LayerNorm(d_model)
        self.encoder_attn = DecoderAttention(d_model, heads, config.attention_dropout, bias, layer_idx)
        self.encoder_attn_layer_norm = nn.LayerNorm(d_model)
        self.fc1 = nn.Linear(d_model, config.decoder_ffn_dim, bias=ffn_bias)
        self.fc2 = nn.Linear(config.decoder_ffn_dim, d_model, bias=ffn_bias)
        self.final_layer_norm = nn.LayerNorm(d_model)

    def parts(self) -> DecoderParts:
        """Return what the layer is made of."""
        norms = (self.self_attn_layer_norm, self.encoder_attn_layer_norm, self.final_layer_norm)
        inner, outer = (self.fc1,), self.fc2
        return DecoderParts(self.self_attn, self.encoder_attn, inner, self.activation_fn, outer, norms, self.pre_norm)

    def _block(self, states: Tensor, norm: nn.LayerNorm, function: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            return clamp_half(states + function(norm(states)))
        return norm(clamp_half(states + function(states)))

    def forward(self, states, mask, encoder_states, encoder_mask, cache=None, with_weights=False):
        """Return new states ``(rows, length, d_model)`` and the weights of self- and cross-attention or ``None``."""
        kept = {}

        def attention(module, mask, encoder_states=None):
            def apply(x):
                out, kept[module] = module(x, mask, encoder_states, cache, with_weights)
                return dropout(out, self.dropout, self.training)

            return apply

        states = self._block(states, self.self_attn_layer_norm, attention(self.self_attn, mask))
        if encoder_states is not None:
            cross = attention(self.encoder_attn, encoder_mask, encoder_states)
            states = self._block(states, self.encoder_attn_layer_norm, cross)
        states = self._block(states, self.final_layer_norm, self.feed_forward)
        return states, kept.get(self.self_attn), kept.get(self.encoder_attn)


def run_decoder(
    decoder,
    states: Tensor,
    *,
    attention_mask: Tensor | None,
    encoder_states: Tensor | None,
    encoder_padding: Tensor | None,
    cache: EncoderDecoderCache | None,
    final_norm: Callable[[Tensor], Tensor] | None = None,
    position_bias: Callable[[int, int | Tensor, int], Tensor] | None = None,
    output_attentions: bool = False,
    output_hidden_states: bool = False,
) -> BaseModelOutputWithPastAndCrossAttentions:
    """Run the layers of a decoder over embedded tokens.

    Args:
        decoder: a module with ``layers`` of :class:`DecoderLayer` and ``layerdrop``.
        states: ``(rows, length, d_model)``.
        attention_mask: ``(rows, past + length)`` of any dtype, a finished 4-d mask, or ``None``.
        encoder_states: ``(documents, keys, d_model)``.
        encoder_padding: ``(documents | rows, keys)`` bool or ``None``.
        cache: keys and values of earlier tokens, or ``None``.
        final_norm: applied to the last states.
        position_bias: makes additive scores of self-attention, ``(1, heads, length, keys)``, of the numbers of new
            tokens, of tokens before them, and of keys.
        output_attentions: also return attention weights.
        output_hidden_states: also return the states before every layer and at the end.
    """
    past = cache.get_seq_length() if cache is not None else 0
    length = states.shape[1]
    keys = cache.get_mask_sizes(length, 0)[0] if cache is not None else length
    mask = decoder_mask(attention_mask, length, past, keys, states.device)
    if position_bias is not None:
        scores = position_bias(length, past, keys)
        mask = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    encoder_mask = cross_mask(encoder_padding, output_attentions)
    hidden, own, cross = [], [], []
    for layer in decoder.layers:
        if output_hidden_states:
            hidden.append(states)
        if decoder.training and decoder.layerdrop and torch.rand(()) < decoder.layerdrop:
            continue
        states, own_weights, cross_weights = layer(
            states, mask, encoder_states, encoder_mask, cache=cache, with_weights=output_attentions
        )
        own.append(own_weights)
        cross.append(cross_weights)
    if final_norm is not None:
        states = final_norm(states)
    if output_hidden_states:
        hidden.append(states)
    return output_of(
        BaseModelOutputWithPastAndCrossAttentions,
        cache=cache,
        last_hidden_state=states,
        hidden_states=tuple(hidden) if output_hidden_states else None,
        attentions=tuple(own) if output_attentions else None,
        cross_attentions=tuple(cross) if output_attentions and encoder_states is not None else None,
    )


def new_cache(use_cache: bool, cache: EncoderDecoderCache | None, layers: int) -> EncoderDecoderCache | None:
    """Return the given cache with room for all layers, a new shared one, or ``None`` if nothing shall be kept.

    Raises:
        TypeError: it is not a cache of both kinds of attention.
    """
    if cache is None:
        return SharedCache() if use_cache else None
    if not isinstance(cache, EncoderDecoderCache):
        raise TypeError(
            f"cache is a {type(cache).__name__}, expected EncoderDecoderCache(DynamicCache(), DynamicCache()): "
            "a decoder keeps its own keys and those of the document"
        )
    return with_room(cache, layers)
