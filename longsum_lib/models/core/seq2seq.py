"""Plumbing between encoder, decoder and head that the encoder-decoder models of BART's family share."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput
from transformers.utils import ModelOutput

from longsum_lib.models.core.arguments import takes
from longsum_lib.models.core.few_rows import linear_of_few
from longsum_lib.models.core.layers import shift_tokens_right, token_loss
from longsum_lib.models.core.step.generating import steps
from longsum_lib.upstream.peft import advise
from longsum_lib.upstream.transformers import cache_in, output_of

# What to do where a decoder has more tokens than positions: it may not have been asked to write at all.
SHORTEN = (
    "write fewer tokens; without decoder_input_ids (in classification and question answering) the document itself is "
    "decoded, so truncate it"
)


def handed_on(outputs: ModelOutput) -> dict[str, Any]:
    """Return what a head hands on of the output of the model below it: all but the last states."""
    return {name: value for name, value in outputs.items() if name != "last_hidden_state"}


class EncoderDecoder:
    """``forward`` of a model without a head. The class that mixes it in has ``shared``, ``encoder``, ``decoder``."""

    # Whether decoder inputs are made from the encoder's input_ids when none are given, as BART does.
    decodes_its_input = False
    # The classes and fields of the two outputs.
    encoder_output: type[ModelOutput] = BaseModelOutput
    model_output: type[ModelOutput] = Seq2SeqModelOutput
    encoder_fields = ("last_hidden_state", "hidden_states", "attentions")

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
    ) -> Seq2SeqModelOutput | tuple:
        """Encode documents and decode against them; arguments as in transformers' class of the same name.

        Raises:
            ValueError: if there is nothing to decode.
        """
        return self.run(
            {},
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

    def run(
        self,
        document: dict[str, Any],
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        decoder_input_ids: Tensor | None,
        decoder_attention_mask: Tensor | None,
        encoder_outputs,
        cache: EncoderDecoderCache | None,
        inputs_embeds: Tensor | None,
        decoder_inputs_embeds: Tensor | None,
        use_cache: bool | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        return_dict: bool | None,
    ) -> Seq2SeqModelOutput | tuple:
        """Do what ``forward`` says; ``document`` holds what this model's encoder takes beside ids and mask."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if self.training:
            advise(self)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if not self.decodes_its_input or input_ids is None:
                name = type(self).__name__
                raise ValueError(f"{name} got neither decoder_input_ids nor labels; give one of them, or call generate")
            config = self.config
            decoder_input_ids = shift_tokens_right(input_ids, config.pad_token_id, config.decoder_start_token_id)
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        if encoder_outputs is None:
            asked_of_encoder = asked | document
            encoder_outputs = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                return_dict=True,
                **asked_of_encoder,
            )
        elif not isinstance(encoder_outputs, dict):
            encoder_outputs = self.encoder_output(**dict(zip(self.encoder_fields, encoder_outputs, strict=False)))
        decoded = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=encoder_outputs["last_hidden_state"],
            encoder_attention_mask=attention_mask,
            cache=cache,
            inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **asked,
        )
        output = output_of(
            self.model_output,
            cache=cache_in(decoded),
            last_hidden_state=decoded.last_hidden_state,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            **{f"encoder_{name}": encoder_outputs.get(name) for name in self.encoder_fields[1:]},
            encoder_last_hidden_state=encoder_outputs["last_hidden_state"],
        )
        return output if return_dict else output.to_tuple()


class ConditionalGeneration:
    """``forward`` of a model that writes. The class that mixes it in has ``model`` and ``lm_head``.

    ``final_logits_bias``, a buffer ``(1, vocabulary)``, is added where the class has one.
    """

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
    ) -> Seq2SeqLMOutput | tuple:
        """Return logits ``(rows, length, vocabulary)`` and, with ``labels`` ``(rows, length)``, their mean loss."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            cache=cache,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = linear_of_few(self.lm_head, outputs.last_hidden_state)
        bias = getattr(self, "final_logits_bias", None)
        if bias is not None:
            logits = logits + bias
        output = Seq2SeqLMOutput(loss=token_loss(logits, labels), logits=logits, **handed_on(outputs))
        return output if return_dict else output.to_tuple()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Shift labels ``(rows, length)`` right by one token."""
        return shift_tokens_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)
