"""Models with transformers' class names, parameter names and configurations, on this library's attention."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "BigBirdPegasusConfig": "longsum_lib.models.bigbird_pegasus",
    "BigBirdPegasusForConditionalGeneration": "longsum_lib.models.bigbird_pegasus",
    "BigBirdPegasusModel": "longsum_lib.models.bigbird_pegasus",
    "LEDConfig": "transformers",
    "LEDForConditionalGeneration": "longsum_lib.models.led",
    "LEDForQuestionAnswering": "longsum_lib.models.led",
    "LEDForSequenceClassification": "longsum_lib.models.led",
    "LEDModel": "longsum_lib.models.led",
    "LEDTokenizer": "longsum_lib.models.led",
    "LSGBartConfig": "longsum_lib.models.lsg",
    "LSGBartForConditionalGeneration": "longsum_lib.models.lsg",
    "LSGBartForQuestionAnswering": "longsum_lib.models.lsg",
    "LSGBartForSequenceClassification": "longsum_lib.models.lsg",
    "LSGBartModel": "longsum_lib.models.lsg",
    "LSGBertConfig": "longsum_lib.models.lsg_encoders",
    "LSGBertForMaskedLM": "longsum_lib.models.lsg_encoders",
    "LSGBertForQuestionAnswering": "longsum_lib.models.lsg_encoders",
    "LSGBertForSequenceClassification": "longsum_lib.models.lsg_encoders",
    "LSGBertForTokenClassification": "longsum_lib.models.lsg_encoders",
    "LSGBertModel": "longsum_lib.models.lsg_encoders",
    "LSGPegasusConfig": "longsum_lib.models.lsg",
    "LSGPegasusForConditionalGeneration": "longsum_lib.models.lsg",
    "LSGPegasusForSequenceClassification": "longsum_lib.models.lsg",
    "LSGPegasusModel": "longsum_lib.models.lsg",
    "LSGRobertaConfig": "longsum_lib.models.lsg_encoders",
    "LSGRobertaForMaskedLM": "longsum_lib.models.lsg_encoders",
    "LSGRobertaForQuestionAnswering": "longsum_lib.models.lsg_encoders",
    "LSGRobertaForSequenceClassification": "longsum_lib.models.lsg_encoders",
    "LSGRobertaForTokenClassification": "longsum_lib.models.lsg_encoders",
    "LSGRobertaModel": "longsum_lib.models.lsg_encoders",
    "LongT5Config": "transformers",
    "LongT5EncoderModel": "longsum_lib.models.longt5",
    "LongT5ForConditionalGeneration": "longsum_lib.models.longt5",
    "LongT5Model": "longsum_lib.models.longt5",
    "PegasusXConfig": "transformers",
    "PegasusXForConditionalGeneration": "longsum_lib.models.pegasus_x",
    "PegasusXModel": "longsum_lib.models.pegasus_x",
    "convert_to_lsg": "longsum_lib.models.lsg_convert",
    "load": "longsum_lib.models.auto",
    "load_tokenizer": "longsum_lib.models.auto",
}

__all__ = attach(
    __name__, _EXPORTS, ("auto", "bigbird_pegasus", "cache", "layers", "led", "longt5", "lsg", "pegasus_x")
)
