"""A sixth model of the family, as short as the core lets it be: blocks of one radius, normalized before each block.

What is written here is what is new in a model: the reading of its config, its encoder layer, its embeddings, and the
``forward`` of its encoder. Decoder, cache, loss, beams and checkpoints come from ``longsum_lib.models.core``.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput

from longsum_lib.attention.sliding_window import sliding_window_attention
from longsum_lib.attention.sliding_window.weights import sliding_window_weights
from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.asked import asked_of
from longsum_lib.models.core.cache import SharedGenerationMixin
from longsum_lib.models.core.decoder import Decoder, DecoderLayer
from longsum_lib.models.core.embedding import check_heads, check_input, check_written, embed_tokens
from longsum_lib.models.core.encoder import run_encoder
from longsum_lib.models.core.feed_forward import FeedForward
from longsum_lib.models.core.looking import Freedom, freedom_of
from longsum_lib.models.core.masks import to_padding
from longsum_lib.models.core.pretrained import CheckedLoading
from longsum_lib.models.core.seq2seq import ConditionalGeneration, EncoderDecoder
from longsum_lib.models.core.states import by_chunks, dropout, merge_heads, split_heads


class ToyConfig(PreTrainedConfig):
    """Sizes of the model; ``window`` is the one-sided radius in tokens."""

    model_type = "toy"
    vocab_size: int = 101
    d_model: int = 32
    encoder_layers: int = 2
    decoder_layers: int = 2
    encoder_attention_heads: int = 4
    decoder_attention_heads: int = 4
    encoder_ffn_dim: int = 48
    decoder_ffn_dim: int = 48
    window: int = 5
    max_position_embeddings: int = 256
    dropout: float = 0.0
    activation_dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_function: str = "gelu"
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    decoder_start_token_id: int = 2
    is_encoder_decoder: bool = True
    use_cache: bool = True
    tie_word_embeddings: bool = True


class ToyEncoderLayer(FeedForward, GradientCheckpointingLayer):
    """A window on both sides of each token, then the feed-forward block."""

    def __init__(self, config: ToyConfig):
        super().__init__()
        self.heads, self.window = check_heads(config, "d_model", "encoder_attention_heads"), config.window
        self.norm = nn.LayerNorm(config.d_model)
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)
        self.add_feed_forward(config, config.encoder_ffn_dim)

    def project(self, states: Tensor) -> list[Tensor]:
        return [split_heads(part, self.heads) for part in self.qkv(self.norm(states)).chunk(3, -1)]

    def forward(self, states: Tensor, padding: Tensor | None, freedom: Freedom = Freedom.WHOLE) -> Tensor:
        context = merge_heads(sliding_window_attention(*self.project(states), window=self.window, padding=padding))
        return by_chunks(self._finish, states, context, freedom=freedom)

    def _finish(self, states: Tensor, context: Tensor) -> Tensor:
        states = states + dropout(self.out(context), self.dropout, self.training)
        return states + self.feed_forward(self.final_layer_norm(states))

    def weights(self, states: Tensor, padding: Tensor | None) -> Tensor:
        query, key, _ = self.project(states)
        return sliding_window_weights(query, key, window=self.window, padding=padding)


class ToyPreTrainedModel(CheckedLoading, PreTrainedModel):
    """What all classes share."""

    config_class = ToyConfig
    config: ToyConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True


class ToyStack(ToyPreTrainedModel):
    """Embeddings and last norm of encoder and decoder."""

    def __init__(self, config: ToyConfig, layers: list[nn.Module]):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.d_model)
        self.layers = nn.ModuleList(layers)
        self.layer_norm = nn.LayerNorm(config.d_model)
        self.gradient_checkpointing = False
        self.post_init()


class ToyEncoder(ToyStack):
    """Encodes documents up to the length of its table."""

    def __init__(self, config: ToyConfig):
        super().__init__(config, [ToyEncoderLayer(config) for _ in range(config.encoder_layers)])

    @takes()
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple:
        asked = asked_of(self.config, output_attentions, output_hidden_states, return_dict)
        freedom = freedom_of(self, asked.hidden_states)
        embeds = embed_tokens(self, input_ids, inputs_embeds)
        check_input(embeds.shape[1], self.embed_positions.num_embeddings, "max_position_embeddings")
        states = embeds + self.embed_positions(torch.arange(embeds.shape[1], device=embeds.device))
        finish = partial(by_chunks, self.layer_norm, freedom=freedom)
        context = (to_padding(attention_mask),)
        encoded = run_encoder(self, self.layers, states, context, asked, freedom, finish=finish)
        output = BaseModelOutput(
            last_hidden_state=encoded.states, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
        return asked.give(output)


class ToyDecoder(Decoder, ToyStack):
    """BART's layers, normalized before each block."""

    def __init__(self, config: ToyConfig):
        super().__init__(config, [DecoderLayer(config, i, pre_norm=True) for i in range(config.decoder_layers)])

    @property
    def last_norm(self) -> nn.Module:
        return self.layer_norm

    def embed_at(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.embed_tokens(tokens) + self.embed_positions(positions)

    def place(self, embeds: Tensor, past: int | Tensor, cache: EncoderDecoderCache | None) -> Tensor:
        check_written(past, embeds.shape[1], self.embed_positions.num_embeddings, "max_position_embeddings")
        return embeds + self.embed_positions(torch.arange(embeds.shape[1], device=embeds.device) + past)


class ToyModel(EncoderDecoder, ToyPreTrainedModel):
    """Encoder and decoder without a head."""

    def __init__(self, config: ToyConfig):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.encoder = ToyEncoder(config)
        self.decoder = ToyDecoder(config)
        self.post_init()


class ToyForConditionalGeneration(ConditionalGeneration, ToyPreTrainedModel, SharedGenerationMixin):
    """A head, and ``generate``."""

    _tied_weights_keys = {"lm_head.weight": "model.shared.weight"}  # noqa: RUF012 - read by transformers

    def __init__(self, config: ToyConfig):
        super().__init__(config)
        self.model = ToyModel(config)
        self.add_head(config)
        self.post_init()
