"""Models with transformers' class names, parameter names and configurations, on this library's attention."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "LEDConfig": "transformers",
    "LEDForConditionalGeneration": "longsum_lib.models.led",
    "LEDForQuestionAnswering": "longsum_lib.models.led",
    "LEDForSequenceClassification": "longsum_lib.models.led",
    "LEDModel": "longsum_lib.models.led",
    "LEDTokenizer": "longsum_lib.models.led",
    "LongT5Config": "transformers",
    "LongT5EncoderModel": "longsum_lib.models.longt5",
    "LongT5ForConditionalGeneration": "longsum_lib.models.longt5",
    "LongT5Model": "longsum_lib.models.longt5",
    "PegasusXConfig": "transformers",
    "PegasusXForConditionalGeneration": "longsum_lib.models.pegasus_x",
    "PegasusXModel": "longsum_lib.models.pegasus_x",
    "load": "longsum_lib.models.auto",
    "load_tokenizer": "longsum_lib.models.auto",
}

__all__ = attach(__name__, _EXPORTS, ("auto", "cache", "layers", "led", "longt5", "pegasus_x"))
