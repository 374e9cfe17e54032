"""LED: an encoder of sliding windows and global tokens, and BART's decoder.

Same classes, parameter names and config as transformers, so its checkpoints load as they are. What differs: the
input is never padded to a window, the encoder's memory is linear in its length, static caches are right, and the
beams of a document share its keys and values. The heads are in :mod:`longsum_lib.models.led.heads`.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from transformers import LEDConfig, PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.models.led.modeling_led import LEDEncoderBaseModelOutput, LEDSeq2SeqModelOutput

from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.layers import DecoderLayer, by_chunks, dropout, embed_tokens, new_cache, run_decoder
from longsum_lib.models.core.looking import Freedom, freedom_of, table_rows
from longsum_lib.models.core.masks import to_padding
from longsum_lib.models.core.pretrained import CheckedLoading
from longsum_lib.models.core.seq2seq import SHORTEN, EncoderDecoder
from longsum_lib.models.led.layer import LEDEncoderLayer, one_sided_windows
from longsum_lib.upstream.torch import tracing

__all__ = ["LEDDecoder", "LEDEncoder", "LEDModel", "LEDPreTrainedModel", "one_sided_windows"]

logger = logging.getLogger(__name__)


class LEDPreTrainedModel(CheckedLoading, PreTrainedModel):
    """What all LED classes share."""

    config_class = LEDConfig
    config: LEDConfig
    base_model_prefix = "led"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LEDEncoderLayer", "DecoderLayer"]  # noqa: RUF012 - read by transformers


class LEDEncoder(LEDPreTrainedModel):
    """Embeddings and encoder layers."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.dropout, self.layerdrop = config.dropout, config.encoder_layerdrop
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_encoder_position_embeddings, config.d_model)
        self.layers = nn.ModuleList([LEDEncoderLayer(config, i) for i in range(config.encoder_layers)])
        self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.gradient_checkpointing = False
        self._advised = False
        self.post_init()

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LEDEncoderBaseModelOutput | tuple:
        """Encode documents.

        Args:
            input_ids: ``(batch, length)`` int64; or ``inputs_embeds``.
            attention_mask: ``(batch, length)`` of any dtype, > 0 for real tokens; ``None`` = all real.
            global_attention_mask: ``(batch, length)``, > 0 for global tokens.
            inputs_embeds: ``(batch, length, d_model)``, without positions.
            output_attentions: also return weights, see :mod:`longsum_lib.attention.sliding_window.weights`.
            output_hidden_states: also return the states before every layer and at the end.
            return_dict: ``False`` gives a tuple.

        Returns:
            ``last_hidden_state`` ``(batch, length, d_model)`` and what was asked for.

        Raises:
            ValueError: if both or neither of ids and embeddings are given, or the input is longer than the positions.

        Cost:
            time ``O(length · (d_model² + d_model · window))``; extra memory at inference: the states and the
            temporaries of one chunk, see :mod:`.streaming`; while training about 30 times the states a layer.
        """
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        return_dict = self.config.return_dict if return_dict is None else return_dict
        freedom = freedom_of(self, output_hidden_states)
        states = self._embed(input_ids, inputs_embeds, freedom)
        padding, is_global = self._masks(attention_mask, global_attention_mask)
        hidden, local, global_ = [], [], []
        for layer in self.layers:
            if output_hidden_states:
                hidden.append(states)
            if self.training and self.layerdrop and torch.rand(()) < self.layerdrop:
                continue
            if output_attentions:
                weights = layer.self_attn.longformer_self_attn.weights(states, padding, is_global)
                local.append(weights[0])
                global_.append(weights[1])
            states = layer(states, padding, is_global, freedom)[0]
        if output_hidden_states:
            hidden.append(states)
        output = LEDEncoderBaseModelOutput(
            last_hidden_state=states,
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(local) if output_attentions else None,
            global_attentions=tuple(global_) if output_attentions and global_ and global_[0] is not None else None,
        )
        return output if return_dict else output.to_tuple()

    def _embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None, freedom: Freedom) -> Tensor:
        embeds = embed_tokens(self, input_ids, inputs_embeds)
        length, most = embeds.shape[1], self.embed_positions.num_embeddings
        if length > most:
            raise ValueError(
                f"the input has {length} tokens, the model takes {most} (config.max_encoder_position_embeddings); "
                "truncate or split it"
            )
        positions = table_rows(self.embed_positions, length, embeds.device).expand_as(embeds)
        states = by_chunks(
            lambda rows, places: self.layernorm_embedding(rows + places),
            embeds,
            positions,
            freedom=freedom if inputs_embeds is None else freedom.and_keep,  # what was looked up is not needed again
        )
        return dropout(states, self.dropout, self.training)

    def _masks(self, attention_mask: Tensor | None, global_attention_mask: Tensor | None):
        padding = to_padding(attention_mask)
        is_global = None if global_attention_mask is None else global_attention_mask > 0
        if is_global is None and attention_mask is not None and not tracing():
            twos = attention_mask > 1  # transformers' merged mask: 0 padding, 1 local, 2 global
            is_global = twos if attention_mask.dtype != torch.bool and bool(twos.any()) else None
        if is_global is None and not self._advised and not tracing():
            self._advised = True
            logger.warning(
                "LED runs without a global token because no global_attention_mask was given. For summarization make "
                "the first token global: global_attention_mask = torch.zeros_like(input_ids); "
                "global_attention_mask[:, 0] = 1 (Beltagy et al. 2020, section 7)"
            )
        if is_global is not None and padding is not None:
            is_global = is_global & padding  # a flag on padding does not count
        return padding, is_global


class LEDDecoder(LEDPreTrainedModel):
    """Embeddings and decoder layers."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.dropout, self.layerdrop = config.dropout, config.decoder_layerdrop
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_decoder_position_embeddings, config.d_model)
        self.layers = nn.ModuleList([DecoderLayer(config, i, pre_norm=False) for i in range(config.decoder_layers)])
        self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.gradient_checkpointing = False
        self.post_init()

    last_norm: nn.Module | None = None

    def embed_at(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Embed tokens ``(rows,)``, each at its own position ``(rows,)``; ``(rows, d_model)``."""
        return self.layernorm_embedding(self.embed_tokens(tokens) + self.embed_positions(positions))

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple:
        """Decode ``(rows, length)`` tokens against ``(documents, keys, d_model)`` encoder states.

        Rows are a multiple of documents, the beams of one document side by side.
        """
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        use_cache = self.config.use_cache if use_cache is None else use_cache
        embeds = embed_tokens(self, input_ids, inputs_embeds)
        cache = new_cache(use_cache and not (self.gradient_checkpointing and self.training), cache, len(self.layers))
        past = cache.get_seq_length() if cache is not None else 0
        length, most = embeds.shape[1], self.embed_positions.num_embeddings
        if isinstance(past, int) and past + length > most:
            raise ValueError(
                f"the decoder is at token {past + length}, the model takes {most} "
                f"(config.max_decoder_position_embeddings); {SHORTEN}"
            )
        positions = self.embed_positions(torch.arange(length, device=embeds.device) + past)
        states = dropout(self.layernorm_embedding(embeds + positions), self.dropout, self.training)
        output = run_decoder(
            self,
            states,
            attention_mask=attention_mask,
            encoder_states=encoder_hidden_states,
            encoder_padding=to_padding(encoder_attention_mask),
            cache=cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return output if return_dict in (None, True) else output.to_tuple()


class LEDModel(EncoderDecoder, LEDPreTrainedModel):
    """Encoder and decoder without a head."""

    decodes_its_input = True
    encoder_output = LEDEncoderBaseModelOutput
    model_output = LEDSeq2SeqModelOutput
    encoder_fields = ("last_hidden_state", "hidden_states", "attentions", "global_attentions")

    _tied_weights_keys = {  # noqa: RUF012 - read by transformers
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.encoder = LEDEncoder(config)
        self.decoder = LEDDecoder(config)
        self.post_init()

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs=None,
        global_attention_mask: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LEDSeq2SeqModelOutput | tuple:
        """Encode documents and decode against them; arguments as in transformers' ``LEDModel``."""
        return self.run(
            {"global_attention_mask": global_attention_mask},
            input_ids,
            attention_mask,
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs,
            cache,
            inputs_embeds,
            decoder_inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict,
        )
