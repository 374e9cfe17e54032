"""LED with its heads, and its tokenizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LEDConfig, RobertaTokenizer
from transformers.models.led.modeling_led import (
    LEDSeq2SeqLMOutput,
    LEDSeq2SeqModelOutput,
    LEDSeq2SeqQuestionAnsweringModelOutput,
    LEDSeq2SeqSequenceClassifierOutput,
)

from .cache import SharedGenerationMixin
from .layers import shift_tokens_right, token_loss
from .led_model import LEDDecoder, LEDEncoder, LEDModel, LEDPreTrainedModel

__all__ = [
    "LEDDecoder",
    "LEDEncoder",
    "LEDForConditionalGeneration",
    "LEDForQuestionAnswering",
    "LEDForSequenceClassification",
    "LEDModel",
    "LEDTokenizer",
]

# Fields of a model's output that every head hands on.
_HANDED_ON = (
    "past_key_values",
    "decoder_hidden_states",
    "decoder_attentions",
    "cross_attentions",
    "encoder_last_hidden_state",
    "encoder_hidden_states",
    "encoder_attentions",
    "encoder_global_attentions",
)


def _hand_on(output: LEDSeq2SeqModelOutput) -> dict:
    return {name: getattr(output, name) for name in _HANDED_ON}


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

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs=None,
        global_attention_mask: Tensor | None = None,
        past_key_values=None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
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
            past_key_values,
            inputs_embeds,
            decoder_inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = self.lm_head(outputs.last_hidden_state) + self.final_logits_bias
        output = LEDSeq2SeqLMOutput(loss=token_loss(logits, labels), logits=logits, **_hand_on(outputs))
        return output if return_dict else output.to_tuple()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Shift labels ``(rows, length)`` right by one token."""
        return shift_tokens_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)


class ClassificationHead(nn.Module):
    """Dense layer, tanh, projection: ``(batch, d_model)`` to ``(batch, labels)``."""

    def __init__(self, d_model: int, labels: int, dropout: float):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(d_model, labels)

    def forward(self, states: Tensor) -> Tensor:
        """Return logits."""
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(states)))))


class LEDForSequenceClassification(LEDPreTrainedModel):
    """LED that classifies by the decoder's state at the last end-of-text token of the input."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.led = LEDModel(config)
        self.classification_head = ClassificationHead(config.d_model, config.num_labels, config.classifier_dropout)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> LEDSeq2SeqSequenceClassifierOutput | tuple:
        """Return logits ``(batch, labels)``; the loss fits ``config.problem_type`` (or the labels' dtype)."""
        if input_ids is None:
            raise ValueError(
                "LEDForSequenceClassification needs input_ids: it reads the state at the last end-of-text token"
            )
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.led(
            input_ids,
            attention_mask,
            global_attention_mask=global_attention_mask,
            use_cache=False,
            return_dict=True,
            **kwargs,
        )
        is_end = input_ids == self.config.eos_token_id
        if not is_end.any(1).all():
            raise ValueError(f"every input must hold the end-of-text token, id {self.config.eos_token_id}; add it")
        last = input_ids.shape[1] - 1 - is_end.flip(1).int().argmax(1)
        states = outputs.last_hidden_state[torch.arange(len(last), device=last.device), last]
        logits = self.classification_head(states)
        loss = None if labels is None else _classification_loss(logits, labels, self.config)
        output = LEDSeq2SeqSequenceClassifierOutput(loss=loss, logits=logits, **_hand_on(outputs))
        return output if return_dict else output.to_tuple()


def _classification_loss(logits: Tensor, labels: Tensor, config) -> Tensor:
    """Regression, one label of several, or several labels, as transformers decides it."""
    problem = config.problem_type
    if problem is None:
        whole = labels.dtype in (torch.int64, torch.int32)
        problem = "regression" if config.num_labels == 1 else f"{'single' if whole else 'multi'}_label_classification"
    if problem == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.squeeze(-1).to(logits.dtype))
    if problem == "single_label_classification":
        return F.cross_entropy(logits, labels.view(-1))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


class LEDForQuestionAnswering(LEDPreTrainedModel):
    """LED that marks the span of an answer."""

    def __init__(self, config: LEDConfig):
        super().__init__(config)
        self.led = LEDModel(config)
        self.qa_outputs = nn.Linear(config.d_model, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> LEDSeq2SeqQuestionAnsweringModelOutput | tuple:
        """Return start and end logits ``(batch, length)``; positions beyond the input are ignored by the loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        outputs = self.led(input_ids, attention_mask, return_dict=True, **kwargs)
        start, end = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            length = start.shape[1]
            targets = (p.view(-1).clamp(0, length) for p in (start_positions, end_positions))
            losses = (F.cross_entropy(s, t, ignore_index=length) for s, t in zip((start, end), targets, strict=True))
            loss = sum(losses) / 2
        output = LEDSeq2SeqQuestionAnsweringModelOutput(
            loss=loss, start_logits=start, end_logits=end, **_hand_on(outputs)
        )
        return output if return_dict else output.to_tuple()


class LEDTokenizer(RobertaTokenizer):
    """LED's byte-level BPE tokenizer; ``pad`` pads ``global_attention_mask`` too, which transformers 5 forgot."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - read by transformers

    def pad(self, encoded_inputs, *args, **kwargs):
        """Pad as transformers does; ``global_attention_mask`` gets -1 where ``attention_mask`` gets 0."""
        name = "global_attention_mask"
        rows = encoded_inputs
        if isinstance(rows, list | tuple):
            rows = {key: [row[key] for row in rows] for key in rows[0]}
        if name not in rows:
            return super().pad(encoded_inputs, *args, **kwargs)
        masks = rows[name]
        tensors = kwargs.pop("return_tensors", None)
        padded = super().pad({k: v for k, v in rows.items() if k != name}, *args, **kwargs)
        batched = isinstance(padded["input_ids"][0], list | tuple | Tensor)
        lengths = [len(row) for row in padded["input_ids"]] if batched else [len(padded["input_ids"])]
        sides = []
        for mask, length in zip(masks if batched else [masks], lengths, strict=True):
            mask = [int(m) for m in mask]
            fill = [-1] * (length - len(mask))
            sides.append(fill + mask if self.padding_side == "left" else mask + fill)
        padded[name] = sides if batched else sides[0]
        return padded.convert_to_tensors(tensors) if tensors else padded
