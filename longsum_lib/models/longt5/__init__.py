"""LongT5: local or transient-global attention in the encoder of a T5."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "LongT5Decoder": "longsum_lib.models.longt5.model",
    "LongT5Encoder": "longsum_lib.models.longt5.model",
    "LongT5EncoderModel": "longsum_lib.models.longt5.model",
    "LongT5ForConditionalGeneration": "longsum_lib.models.longt5.model",
    "LongT5Model": "longsum_lib.models.longt5.model",
    "LongT5PreTrainedModel": "longsum_lib.models.longt5.model",
}

__all__ = attach(__name__, _EXPORTS)
