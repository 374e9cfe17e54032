"""BigBird-Pegasus: an encoder of neighbouring blocks, the document's two ends and random blocks; a dense decoder.

Same classes, parameter names and config as transformers. What differs: the pattern depends on the input and a seed
only. In transformers one short input (up to ``(5 + 2r) * block_size`` tokens) switches the encoder to full attention
for the rest of its life; here it does so for that input. NumPy's global generator is never touched, no input is padded
to whole blocks, and the beams of a document share its keys and values.
"""

from __future__ import annotations

import math

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions

from ..attention.big_bird import BigBird, big_bird_attention, big_bird_weights
from .cache import SharedGenerationMixin
from .layers import (
    DecoderLayer,
    FeedForward,
    by_chunks,
    clamp_half,
    embed_tokens,
    merge_heads,
    new_cache,
    run_decoder,
    split_heads,
    to_padding,
)
from .positions import ScaledEmbedding
from .seq2seq import ConditionalGeneration, EncoderDecoder

__all__ = [
    "BigBirdPegasusConfig",
    "BigBirdPegasusDecoder",
    "BigBirdPegasusEncoder",
    "BigBirdPegasusForConditionalGeneration",
    "BigBirdPegasusModel",
]

ATTENTION_TYPES = ("block_sparse", "original_full")

# Names of one formula, GELU by tanh, that transformers computes in eight passes over its input and torch in one.
TANH_GELUS = ("gelu_new", "gelu_fast")


class BigBirdPegasusConfig(transformers.BigBirdPegasusConfig):
    """Config of transformers, with three fields more; the models take either.

    Attributes:
        random_blocks: ``"reference"``: as transformers does, in evaluation block 0 ``num_random_blocks`` times more, in
            training blocks drawn by the number of the layer. ``"seeded"``: random blocks as in the paper, the same in
            training and evaluation. See :mod:`longsum_lib.attention.big_bird_blocks`.
        random_seed: seed of ``"seeded"``. Every layer draws its own blocks.
        last_block: which block all others see as the document's end, and which inputs are short. ``"input"`` counts
            padding, as transformers does, so that a document's summary depends on the length that it is padded to.
            ``"document"`` ends every document at its last real token.

    Example:
        >>> BigBirdPegasusConfig(random_blocks="seeded", random_seed=3).num_random_blocks
        3
    """

    random_blocks: str = "reference"
    random_seed: int = 0
    last_block: str = "input"


class BlockSparseAttention(nn.Module):
    """Projections and attention of one encoder layer."""

    def __init__(self, config: BigBirdPegasusConfig, layer_idx: int):
        super().__init__()
        d_model, self.heads = config.d_model, config.encoder_attention_heads
        if d_model % self.heads:
            raise ValueError(f"config.d_model is {d_model}, not a multiple of encoder_attention_heads, {self.heads}")
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

    def forward(self, states: Tensor, padding: Tensor | None) -> Tensor:
        """Attend from every token of ``(batch, length, d_model)``; same shape back, before the output projection."""
        task = self.task(states.shape[1])
        # Like transformers, no weight of the sparse pattern is dropped.
        dropout = self.dropout if self.training and task.is_short(states.shape[1]) else 0.0
        query, key, value = (split_heads(p(states), self.heads) for p in (self.query, self.key, self.value))
        return merge_heads(big_bird_attention(query, key, value, **vars(task), padding=padding, dropout=dropout))

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


class BigBirdPegasusEncoderLayer(FeedForward, GradientCheckpointingLayer):
    """Attention and feed-forward block, each after a normalization."""

    def __init__(self, config: BigBirdPegasusConfig, layer_idx: int):
        super().__init__()
        self.self_attn = BigBirdPegasusEncoderAttention(config, layer_idx)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.dropout, self.activation_dropout = config.dropout, 0.0  # the encoder of transformers has only the former
        name = config.activation_function
        self.activation_fn = nn.GELU(approximate="tanh") if name in TANH_GELUS else ACT2FN[name]
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, states: Tensor, padding: Tensor | None, in_place: bool = False) -> Tensor:
        """Transform ``(batch, length, d_model)``; ``in_place`` lets the result overwrite ``states``."""
        context = self.self_attn.self(by_chunks(self.self_attn_layer_norm, states), padding)
        return by_chunks(self._after_attention, states, context, out=states if in_place else None)

    def _after_attention(self, states: Tensor, context: Tensor) -> Tensor:
        states = clamp_half(states + F.dropout(self.self_attn.output(context), self.dropout, self.training))
        return clamp_half(states + self.feed_forward(self.final_layer_norm(states)))

    def weights(self, states: Tensor, padding: Tensor | None) -> Tensor:
        """Return attention weights for looking at, see :func:`.big_bird_weights`."""
        return self.self_attn.self.weights(self.self_attn_layer_norm(states), padding)


class BigBirdPegasusPreTrainedModel(PreTrainedModel):
    """What all BigBird-Pegasus classes share."""

    config_class = BigBirdPegasusConfig
    config: BigBirdPegasusConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["BigBirdPegasusEncoderLayer", "DecoderLayer"]  # noqa: RUF012 - read by transformers


def _embedding(config: BigBirdPegasusConfig) -> ScaledEmbedding:
    scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
    return ScaledEmbedding(config.vocab_size, config.d_model, config.pad_token_id, scale)


def _check_length(length: int, table: nn.Embedding, name: str) -> None:
    if length > table.num_embeddings:
        raise ValueError(
            f"the {name} has {length} tokens, the model takes {table.num_embeddings} (config.max_position_embeddings); "
            f"{'truncate or split it' if name == 'input' else 'generate fewer tokens'}"
        )


class BigBirdPegasusEncoder(BigBirdPegasusPreTrainedModel):
    """Embeddings and encoder layers."""

    def __init__(self, config: BigBirdPegasusConfig):
        super().__init__(config)
        self.dropout, self.layerdrop = config.dropout, config.encoder_layerdrop
        self.embed_tokens = _embedding(config)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.d_model)
        self.layers = nn.ModuleList([BigBirdPegasusEncoderLayer(config, i) for i in range(config.encoder_layers)])
        self.layernorm_embedding = nn.LayerNorm(config.d_model)  # the last norm, whatever its name says
        self.gradient_checkpointing = False
        self.set_attention_type(config.attention_type)
        self.layers[0].self_attn.self.task(1).check() if self.layers else None
        self.post_init()

    def set_attention_type(self, value: str) -> None:
        """Choose between ``"block_sparse"`` and ``"original_full"`` attention, from now on."""
        if value not in ATTENTION_TYPES:
            raise ValueError(f"config.attention_type is {value!r}, expected 'block_sparse' or 'original_full'")
        self.config.attention_type = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> BaseModelOutput | tuple:
        """Encode documents.

        Args:
            input_ids: ``(batch, length)`` int64; or ``inputs_embeds``.
            attention_mask: ``(batch, length)`` of any dtype, > 0 for real tokens; ``None`` = all real.
            inputs_embeds: ``(batch, length, d_model)``, scaled already, without positions.
            output_attentions: also return weights ``(batch, heads, length, length)``, see :func:`.big_bird_weights`.
            output_hidden_states: also return the states before every layer and, at the end, the normalized ones.
            return_dict: ``False`` gives a tuple.
            kwargs: ignored; ``generate`` passes what other encoders need.

        Returns:
            ``last_hidden_state`` ``(batch, length, d_model)`` and what was asked for.

        Raises:
            ValueError: if both or neither of ids and embeddings are given, or the input is longer than the positions.

        Cost:
            time ``O(length · (d_model² + d_model · block_size · (5 + r)))``; extra memory about six times the states.
        """
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        return_dict = self.config.return_dict if return_dict is None else return_dict
        states = embed_tokens(self, input_ids, inputs_embeds)
        _check_length(states.shape[1], self.embed_positions, "input")
        states = states + self.embed_positions.weight[: states.shape[1]]
        states = F.dropout(states, self.dropout, self.training)
        padding = to_padding(attention_mask)
        hidden, weights = [], []
        in_place = not (output_hidden_states or torch.is_grad_enabled())
        for layer in self.layers:
            if output_hidden_states:
                hidden.append(states)
            if self.training and self.layerdrop and torch.rand(()) < self.layerdrop:
                continue
            if output_attentions:
                weights.append(layer.weights(states, padding))
            states = layer(states, padding, in_place)
        states = by_chunks(self.layernorm_embedding, states, out=states if in_place else None)
        if output_hidden_states:
            hidden.append(states)
        output = BaseModelOutput(
            last_hidden_state=states,
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(weights) if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()


class BigBirdPegasusDecoder(BigBirdPegasusPreTrainedModel):
    """Embeddings and decoder layers."""

    def __init__(self, config: BigBirdPegasusConfig):
        super().__init__(config)
        self.dropout, self.layerdrop = config.dropout, config.decoder_layerdrop
        self.embed_tokens = _embedding(config)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.d_model)
        self.layers = nn.ModuleList(
            [DecoderLayer(config, i, pre_norm=True, bias=config.use_bias) for i in range(config.decoder_layers)]
        )
        self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values=None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple:
        """Decode ``(rows, length)`` tokens against ``(documents, keys, d_model)`` encoder states.

        Rows are a multiple of documents, the beams of one document side by side.
        """
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        use_cache = self.config.use_cache if use_cache is None else use_cache
        embeds = embed_tokens(self, input_ids, inputs_embeds)
        cache = new_cache(
            use_cache and not (self.gradient_checkpointing and self.training), past_key_values, self.config
        )
        past = cache.get_seq_length() if cache is not None else 0
        length = embeds.shape[1]
        if isinstance(past, int):  # a static cache knows its length as a tensor
            _check_length(past + length, self.embed_positions, "summary")
        positions = self.embed_positions(torch.arange(length, device=embeds.device) + past)
        output = run_decoder(
            self,
            F.dropout(embeds + positions, self.dropout, self.training),
            attention_mask=attention_mask,
            encoder_states=encoder_hidden_states,
            encoder_padding=to_padding(encoder_attention_mask),
            cache=cache,
            final_norm=self.layernorm_embedding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return output if return_dict in (None, True) else output.to_tuple()


class BigBirdPegasusModel(EncoderDecoder, BigBirdPegasusPreTrainedModel):
    """Encoder and decoder without a head."""

    decodes_its_input = True
    _tied_weights_keys = {  # noqa: RUF012 - read by transformers
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: BigBirdPegasusConfig):
        super().__init__(config)
        self.shared = _embedding(config)
        self.encoder = BigBirdPegasusEncoder(config)
        self.decoder = BigBirdPegasusDecoder(config)
        self.post_init()


class BigBirdPegasusForConditionalGeneration(
    ConditionalGeneration, BigBirdPegasusPreTrainedModel, SharedGenerationMixin
):
    """BigBird-Pegasus that writes: a language-model head, tied to the embedding, and ``generate``."""

    _keys_to_ignore_on_load_missing = ["final_logits_bias"]  # noqa: RUF012 - read by transformers
    _tied_weights_keys = {"lm_head.weight": "model.shared.weight"}  # noqa: RUF012

    def __init__(self, config: BigBirdPegasusConfig):
        super().__init__(config)
        self.model = BigBirdPegasusModel(config)
        self.register_buffer("final_logits_bias", torch.zeros(1, config.vocab_size))
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            nn.init.zeros_(self.final_logits_bias)

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """Resize embedding, head and logits bias; arguments as in transformers."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        size, bias = embeddings.weight.shape[0], self.final_logits_bias
        self.final_logits_bias = F.pad(bias, (0, max(0, size - bias.shape[1])))[:, :size].contiguous()
        return embeddings
