"""LED with its heads, and its tokenizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LEDConfig
from transformers.cache_utils import EncoderDecoderCache
from transformers.models.led.modeling_led import (
    LEDSeq2SeqLMOutput,
    LEDSeq2SeqQuestionAnsweringModelOutput,
    LEDSeq2SeqSequenceClassifierOutput,
)

from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.cache import SharedGenerationMixin
from longsum_lib.models.core.few_rows import linear_of_few
from longsum_lib.models.core.heads import ClassificationHead, classification_loss, last_end, rows_at, span_loss
from longsum_lib.models.core.layers import shift_tokens_right, token_loss
from longsum_lib.models.core.seq2seq import handed_on
from longsum_lib.models.core.step.generating import steps
from longsum_lib.models.led.model import LEDDecoder, LEDEncoder, LEDModel, LEDPreTrainedModel
from longsum_lib.models.led.tokenizer import LEDTokenizer, PreTrainedTokenizerFast
from longsum_lib.upstream.transformers import make_known

__all__ = [
    "LEDDecoder",
    "LEDEncoder",
    "LEDForConditionalGeneration",
    "LEDForQuestionAnswering",
    "LEDForSequenceClassification",
    "LEDModel",
    "LEDTokenizer",
    "PreTrainedTokenizerFast",
]


class LEDForConditionalGeneration(LEDPreTrainedModel, SharedGenerationMixin):
    """LED that writes: a language-model head, tied to the embedding, and ``generate``."""

    _keys_to_ignore_on_load_missing = ["final_logits_bias"]  # noqa: RUF012 - read by transformers
    _tied_weights_keys = {"lm_head.weight": "led.shared.weight"}  # noqa: RUF012

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.led = LEDModel(config)
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

    @takes()
    @steps(LEDSeq2SeqLMOutput)
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
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LEDSeq2SeqLMOutput | tuple:
        """Return logits ``(rows, length, vocabulary)`` and, with ``labels`` ``(rows, length)``, their mean loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        outputs = self.led(
            input_ids,
            attention_mask,
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs,
            global_attention_mask,
            cache,
            inputs_embeds,
            decoder_inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = linear_of_few(self.lm_head, outputs.last_hidden_state) + self.final_logits_bias
        output = LEDSeq2SeqLMOutput(loss=token_loss(logits, labels), logits=logits, **handed_on(outputs))
        return output if return_dict else output.to_tuple()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Shift labels ``(rows, length)`` right by one token."""
        return shift_tokens_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)


class LEDForSequenceClassification(LEDPreTrainedModel):
    """LED that classifies by the decoder's state at the last end-of-text token of the input."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.led = LEDModel(config)
        self.classification_head = ClassificationHead(config.d_model, config.num_labels, config.classifier_dropout)
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
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LEDSeq2SeqSequenceClassifierOutput | tuple:
        """Return logits ``(batch, labels)``; the loss fits ``config.problem_type`` (or the labels' dtype)."""
        last = last_end(input_ids, self.config.eos_token_id)
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.led(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=False,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            global_attention_mask=global_attention_mask,
        )
        logits = self.classification_head(rows_at(outputs.last_hidden_state, last))
        loss = classification_loss(logits, labels, self.config)
        output = LEDSeq2SeqSequenceClassifierOutput(loss=loss, logits=logits, **handed_on(outputs))
        return output if return_dict else output.to_tuple()


class LEDForQuestionAnswering(LEDPreTrainedModel):
    """LED that marks the span of an answer."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.led = LEDModel(config)
        self.qa_outputs = nn.Linear(config.d_model, 2)
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
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LEDSeq2SeqQuestionAnsweringModelOutput | tuple:
        """Return start and end logits ``(batch, length)``; positions beyond the input are ignored by the loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.led(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            global_attention_mask=global_attention_mask,
        )
        start, end = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = span_loss(start, end, start_positions, end_positions)
        output = LEDSeq2SeqQuestionAnsweringModelOutput(
            loss=loss, start_logits=start, end_logits=end, **handed_on(outputs)
        )
        return output if return_dict else output.to_tuple()


# transformers has heads of this kind for BART, and none for LED.
make_known({"AutoModelForSequenceClassification": (LEDForSequenceClassification,)})
