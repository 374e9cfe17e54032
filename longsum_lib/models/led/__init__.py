"""LED: windows and global tokens in the encoder of a BART."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "LEDDecoder": "longsum_lib.models.led.model",
    "LEDEncoder": "longsum_lib.models.led.model",
    "LEDForConditionalGeneration": "longsum_lib.models.led.heads",
    "LEDForQuestionAnswering": "longsum_lib.models.led.heads",
    "LEDForSequenceClassification": "longsum_lib.models.led.heads",
    "LEDModel": "longsum_lib.models.led.model",
    "LEDPreTrainedModel": "longsum_lib.models.led.model",
    "LEDTokenizer": "longsum_lib.models.led.tokenizer",
}

__all__ = attach(__name__, _EXPORTS)
