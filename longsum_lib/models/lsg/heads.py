"""LSG-Pegasus and LSG-BART with their heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import (
    Seq2SeqLMOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
)

from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.cache import SharedGenerationMixin
from longsum_lib.models.core.few_rows import linear_of_few
from longsum_lib.models.core.heads import ClassificationHead, classification_loss, last_end, rows_at, span_loss
from longsum_lib.models.core.layers import shift_tokens_right, token_loss
from longsum_lib.models.core.seq2seq import handed_on
from longsum_lib.models.core.step.generating import steps
from longsum_lib.models.lsg.base import LSGPreTrainedModel
from longsum_lib.models.lsg.config import LSGBartConfig, LSGFields, LSGPegasusConfig
from longsum_lib.models.lsg.model import (
    LSGBartModel,
    LSGBartPreTrainedModel,
    LSGModel,
    LSGPegasusModel,
    LSGPegasusPreTrainedModel,
)
from longsum_lib.upstream.transformers import make_known

__all__ = [
    "LSGBartConfig",
    "LSGBartForConditionalGeneration",
    "LSGBartForQuestionAnswering",
    "LSGBartForSequenceClassification",
    "LSGBartModel",
    "LSGPegasusConfig",
    "LSGPegasusForConditionalGeneration",
    "LSGPegasusForSequenceClassification",
    "LSGPegasusModel",
]


def _model(config: LSGFields) -> LSGModel:
    return LSGPegasusModel(config) if isinstance(config, LSGPegasusConfig) else LSGBartModel(config)


class _ForConditionalGeneration(LSGPreTrainedModel, SharedGenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "model.shared.weight"}  # noqa: RUF012 - read by transformers

    def __init__(self, config: LSGFields):
        super().__init__(config)
        self.model = _model(config)
        self.register_buffer("final_logits_bias", torch.zeros(1, config.vocab_size))
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def seen_by_decoder(self, attention_mask: Tensor | None) -> Tensor | None:
        """Return which of the encoder's rows the decoder sees: ``(batch, [globals +] length)``, ``None`` = all."""
        return self.model._cross_mask(attention_mask)

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """Resize embedding, head and logits bias; arguments as in transformers."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        size, bias = embeddings.weight.shape[0], self.final_logits_bias
        self.final_logits_bias = F.pad(bias, (0, max(0, size - bias.shape[1])))[:, :size].contiguous()
        return embeddings

    @takes()
    @steps(Seq2SeqLMOutput)
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
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> Seq2SeqLMOutput | tuple:
        """Return logits ``(rows, length, vocabulary)`` and, with ``labels`` ``(rows, length)``, their mean loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        outputs = self.model(
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
            return_dict=True,
            generator=generator,
        )
        logits = linear_of_few(self.lm_head, outputs.last_hidden_state) + self.final_logits_bias
        output = Seq2SeqLMOutput(loss=token_loss(logits, labels), logits=logits, **handed_on(outputs))
        return output if return_dict else output.to_tuple()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Shift labels ``(rows, length)`` right by one token."""
        return shift_tokens_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)


class _ForSequenceClassification(LSGPreTrainedModel):
    def __init__(self, config: LSGFields):
        super().__init__(config)
        self.model = _model(config)
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
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> Seq2SeqSequenceClassifierOutput | tuple:
        """Return logits ``(batch, labels)``; the loss fits ``config.problem_type`` (or the labels' dtype)."""
        last = last_end(input_ids, self.config.eos_token_id)
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.model(
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
            generator=generator,
        )
        logits = self.classification_head(rows_at(outputs.last_hidden_state, last))
        loss = classification_loss(logits, labels, self.config)
        output = Seq2SeqSequenceClassifierOutput(loss=loss, logits=logits, **handed_on(outputs))
        return output if return_dict else output.to_tuple()


class LSGPegasusForConditionalGeneration(LSGPegasusPreTrainedModel, _ForConditionalGeneration):
    """LSG-Pegasus that writes: a language-model head, tied to the embedding, and ``generate``."""


class LSGPegasusForSequenceClassification(LSGPegasusPreTrainedModel, _ForSequenceClassification):
    """LSG-Pegasus that classifies by the decoder's state at the last end-of-text token of the input."""


class LSGBartForConditionalGeneration(LSGBartPreTrainedModel, _ForConditionalGeneration):
    """LSG-BART that writes: a language-model head, tied to the embedding, and ``generate``."""


class LSGBartForSequenceClassification(LSGBartPreTrainedModel, _ForSequenceClassification):
    """LSG-BART that classifies by the decoder's state at the last end-of-text token of the input."""


class LSGBartForQuestionAnswering(LSGBartPreTrainedModel):
    """LSG-BART that marks the span of an answer."""

    def __init__(self, config: LSGBartConfig):
        super().__init__(config)
        self.model = LSGBartModel(config)
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
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> Seq2SeqQuestionAnsweringModelOutput | tuple:
        """Return start and end logits ``(batch, length)``; positions beyond the input are ignored by the loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.model(
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
            generator=generator,
        )
        start, end = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        output = Seq2SeqQuestionAnsweringModelOutput(
            loss=span_loss(start, end, start_positions, end_positions),
            start_logits=start,
            end_logits=end,
            **handed_on(outputs),
        )
        return output if return_dict else output.to_tuple()


# So that transformers' AutoModel classes build these models once this module has been imported.
make_known(
    {
        "AutoModel": (LSGPegasusModel, LSGBartModel),
        "AutoModelForSeq2SeqLM": (LSGPegasusForConditionalGeneration, LSGBartForConditionalGeneration),
        "AutoModelForSequenceClassification": (LSGPegasusForSequenceClassification, LSGBartForSequenceClassification),
        "AutoModelForQuestionAnswering": (LSGBartForQuestionAnswering,),
    }
)
