"""LSG-Pegasus and LSG-BART: an encoder of local, sparse and global attention, and the base model's own decoder.

Class and parameter names are those of the published checkpoints. The two families differ in where they normalize and
in their positions; both run here, without the code that the checkpoints come with. The heads are in
:mod:`longsum_lib.models.lsg.heads`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqModelOutput,
)

from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.layers import DecoderLayer, new_cache, run_decoder, shift_tokens_right
from longsum_lib.models.core.looking import freedom_of
from longsum_lib.models.core.masks import to_padding
from longsum_lib.models.core.seq2seq import SHORTEN
from longsum_lib.models.lsg.base import (
    LSGPreTrainedModel,
    LSGStack,
    draw_layer_hashes,
    hand_over_globals,
    hide_first,
    layer_weights,
    shows_padding,
)
from longsum_lib.models.lsg.config import MOST_GLOBAL_TOKENS, LSGBartConfig, LSGFields, LSGPegasusConfig
from longsum_lib.models.lsg.layer import LSGEncoderLayer
from longsum_lib.upstream.peft import advise
from longsum_lib.upstream.transformers import cache_in, output_of


class LSGEncoder(LSGStack):
    """Global tokens, embeddings and encoder layers."""

    def __init__(self, config: LSGFields):
        pre_norm = isinstance(config, LSGPegasusConfig)
        layers = nn.ModuleList([LSGEncoderLayer(config, pre_norm=pre_norm) for _ in range(config.encoder_layers)])
        super().__init__(config, layers, config.encoder_layerdrop)
        self.global_embeddings = nn.Embedding(MOST_GLOBAL_TOKENS, config.d_model)
        self.sparsity = config.check_lsg()
        self.post_init()

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> BaseModelOutput | tuple:
        """Encode documents.

        Args:
            input_ids: ``(batch, length)`` int64; or ``inputs_embeds``.
            attention_mask: ``(batch, length)`` of any dtype, > 0 for real tokens; ``None`` = all real. It does not
                count the global tokens.
            inputs_embeds: ``(batch, length, d_model)``, without positions.
            output_attentions: also return weights, see :mod:`longsum_lib.attention.lsg.weights`.
            output_hidden_states: also return the states of global tokens and tokens before every layer and at the end.
            return_dict: ``False`` gives a tuple.
            generator: draws the directions of ``lsh``; ``None`` = ``config.lsh_seed``, or torch's global generator.

        Returns:
            ``last_hidden_state`` ``(batch, globals + length, d_model)``, without the global tokens unless
            ``config.pass_global_tokens_to_decoder``; and what was asked for.

        Raises:
            ValueError: if both or neither of ids and embeddings are given, or the input is longer than the positions.

        Cost:
            time ``O(length · (d_model² + d_model · (3 · block_size + 2 · sparse_block_size)))``; extra memory about six
            times the states.
        """
        config = self.config
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return_dict = config.return_dict if return_dict is None else return_dict
        freedom = freedom_of(self, output_hidden_states)
        embeds = self.look_up(input_ids, inputs_embeds)
        length, padding = embeds.shape[1], hide_first(to_padding(attention_mask), config, embeds)
        embeds, padding = self._whole_blocks(embeds, padding, is_ids=input_ids is not None)
        states = self._with_globals(embeds)
        del embeds
        hidden, weights = [], []
        drawn = draw_layer_hashes(self.sparsity, config, len(self.layers), states.device, generator)
        for layer, hashes in zip(self.layers, drawn, strict=True):
            if output_hidden_states:
                hidden.append(states[:, : config.num_global_tokens + length])
            if self.training and self.layerdrop and torch.rand(()) < self.layerdrop:
                continue
            if output_attentions:
                own, normed = layer.self_attn, layer.self_attn_layer_norm(states) if layer.pre_norm else states
                weights.append(layer_weights(self.sparsity, config, own.q_proj, own.k_proj, normed, padding, hashes))
            states = layer(states, padding, hashes, freedom)
        states = states[:, : config.num_global_tokens + length]
        if self.is_pegasus:
            states = self.layer_norm(states)
        if output_hidden_states:
            hidden.append(states)
        output = BaseModelOutput(
            last_hidden_state=hand_over_globals(states, config),
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(weights) if output_attentions else None,
        )
        return output if return_dict else output.to_tuple()

    def _with_globals(self, embeds: Tensor) -> Tensor:
        length, most = embeds.shape[1], self.embed_positions.positions
        if length > most:
            raise ValueError(
                f"the input has {length} tokens, the model takes {most} (config.max_position_embeddings); "
                "truncate or split it"
            )
        count = self.config.num_global_tokens
        tokens = embeds + self.embed_positions(0, length)
        globals_ = self.global_embeddings(torch.arange(count, device=tokens.device))
        globals_ = globals_.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        return self.norm_input(torch.cat([globals_, tokens], 1))

    def _whole_blocks(self, embeds: Tensor, padding: Tensor | None, is_ids: bool) -> tuple[Tensor, Tensor | None]:
        """Fill the input up to whole blocks, where the published code lets tokens see the padding (``bos_pooling``)."""
        config, length = self.config, embeds.shape[1]
        if not shows_padding(self.sparsity, config, embeds):
            return embeds, padding
        missing = min(-length % config.block_size, self.embed_positions.positions - length)
        if padding is None:
            padding = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        fill = embeds.new_zeros(embeds.shape[0], missing, embeds.shape[2])
        if is_ids:
            fill = fill + self.embed_tokens(torch.tensor(config.pad_token_id, device=embeds.device)) * self.embed_scale
        return torch.cat([embeds, fill], 1), F.pad(padding, (0, missing), value=False)


class LSGDecoder(LSGStack):
    """Embeddings and decoder layers."""

    def __init__(self, config: LSGFields):
        pre_norm = isinstance(config, LSGPegasusConfig)
        layers = [DecoderLayer(config, i, pre_norm=pre_norm) for i in range(config.decoder_layers)]
        super().__init__(config, nn.ModuleList(layers), config.decoder_layerdrop)
        self.post_init()

    @property
    def last_norm(self) -> nn.Module | None:
        """The norm of the last states; BART has none."""
        return self.layer_norm if self.is_pegasus else None

    def embed_at(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Embed tokens ``(rows,)``, each at its own position ``(rows,)``; ``(rows, d_model)``."""
        embeds = self.embed_tokens(tokens)
        embeds = embeds if self.embed_scale == 1.0 else embeds * self.embed_scale
        return self.norm_input(embeds + self.embed_positions(positions, 1))

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

        Rows are a multiple of documents, beams of one document side by side.
        """
        config = self.config
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        use_cache = config.use_cache if use_cache is None else use_cache
        embeds = self.look_up(input_ids, inputs_embeds)
        if inputs_embeds is not None and self.is_pegasus:
            embeds = embeds * self.embed_scale  # Pegasus' decoder scales what it is given, its encoder does not
        cache = new_cache(use_cache and not (self.gradient_checkpointing and self.training), cache, len(self.layers))
        past = cache.get_seq_length() if cache is not None else 0
        length, most = embeds.shape[1], self.embed_positions.positions
        if isinstance(past, int) and past + length > most:
            raise ValueError(
                f"the decoder is at token {past + length}, the model takes {most} (config.max_position_embeddings); "
                f"{SHORTEN}"
            )
        output = run_decoder(
            self,
            self.norm_input(embeds + self.embed_positions(past, length)),
            attention_mask=attention_mask,
            encoder_states=encoder_hidden_states,
            encoder_padding=to_padding(encoder_attention_mask),
            cache=cache,
            final_norm=self.last_norm,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return output.to_tuple() if return_dict is False else output


class LSGModel(LSGPreTrainedModel):
    """Encoder and decoder without a head."""

    _tied_weights_keys = {  # noqa: RUF012 - read by transformers
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: LSGFields):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.encoder = LSGEncoder(config)
        self.decoder = LSGDecoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding that encoder, decoder and head share."""
        return self.shared

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the shared embedding everywhere."""
        self.shared = self.encoder.embed_tokens = self.decoder.embed_tokens = value

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs=None,
        cache: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> Seq2SeqModelOutput | tuple:
        """Encode documents and decode against them; arguments as in transformers' ``BartModel``."""
        config = self.config
        if self.training:
            advise(self)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if input_ids is None:
                raise ValueError(
                    f"{type(self).__name__} got no decoder_input_ids and no input_ids to make them from; "
                    "give decoder_input_ids"
                )
            decoder_input_ids = shift_tokens_right(input_ids, config.pad_token_id, config.decoder_start_token_id)
        return_dict = config.return_dict if return_dict is None else return_dict
        asked = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
            "return_dict": True,
        }
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, inputs_embeds, generator=generator, **asked)
        elif not isinstance(encoder_outputs, dict):
            names = ("last_hidden_state", "hidden_states", "attentions")
            encoder_outputs = BaseModelOutput(**dict(zip(names, encoder_outputs, strict=False)))
        decoded = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs["last_hidden_state"],
            self._cross_mask(attention_mask),
            cache,
            decoder_inputs_embeds,
            use_cache,
            **asked,
        )
        output = output_of(
            Seq2SeqModelOutput,
            cache=cache_in(decoded),
            last_hidden_state=decoded.last_hidden_state,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=encoder_outputs["last_hidden_state"],
            encoder_hidden_states=encoder_outputs.get("hidden_states"),
            encoder_attentions=encoder_outputs.get("attentions"),
        )
        return output if return_dict else output.to_tuple()

    def _cross_mask(self, attention_mask: Tensor | None) -> Tensor | None:
        """Which encoder rows the decoder sees: ``(batch, [globals +] length)``."""
        if attention_mask is None:
            return None
        padding = hide_first(to_padding(attention_mask), self.config, attention_mask)
        if self.config.pass_global_tokens_to_decoder:
            padding = F.pad(padding, (self.config.num_global_tokens, 0), value=True)
        return padding


class LSGPegasusPreTrainedModel(LSGPreTrainedModel):
    """What all LSG-Pegasus classes share."""

    config_class = LSGPegasusConfig
    config: LSGPegasusConfig
    _keys_to_ignore_on_load_missing = [  # noqa: RUF012 - Pegasus' tables can be computed, and older files lack them
        "final_logits_bias",
        r"embed_positions\.weight",
    ]


class LSGBartPreTrainedModel(LSGPreTrainedModel):
    """What all LSG-BART classes share."""

    config_class = LSGBartConfig
    config: LSGBartConfig


class LSGPegasusModel(LSGPegasusPreTrainedModel, LSGModel):
    """LSG-Pegasus without a head."""


class LSGBartModel(LSGBartPreTrainedModel, LSGModel):
    """LSG-BART without a head."""
