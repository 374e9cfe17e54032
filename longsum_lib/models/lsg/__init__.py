"""LSG: local, sparse and global attention in BART, Pegasus, BERT and RoBERTa."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "LSGBartConfig": "longsum_lib.models.lsg.config",
    "LSGBartForConditionalGeneration": "longsum_lib.models.lsg.heads",
    "LSGBartForQuestionAnswering": "longsum_lib.models.lsg.heads",
    "LSGBartForSequenceClassification": "longsum_lib.models.lsg.heads",
    "LSGBartModel": "longsum_lib.models.lsg.model",
    "LSGBertConfig": "longsum_lib.models.lsg.config",
    "LSGBertForMaskedLM": "longsum_lib.models.lsg.encoders",
    "LSGBertForQuestionAnswering": "longsum_lib.models.lsg.encoders",
    "LSGBertForSequenceClassification": "longsum_lib.models.lsg.encoders",
    "LSGBertForTokenClassification": "longsum_lib.models.lsg.encoders",
    "LSGBertModel": "longsum_lib.models.lsg.encoder_model",
    "LSGFields": "longsum_lib.models.lsg.config",
    "LSGModel": "longsum_lib.models.lsg.model",
    "LSGPegasusConfig": "longsum_lib.models.lsg.config",
    "LSGPegasusForConditionalGeneration": "longsum_lib.models.lsg.heads",
    "LSGPegasusForSequenceClassification": "longsum_lib.models.lsg.heads",
    "LSGPegasusModel": "longsum_lib.models.lsg.model",
    "LSGRobertaConfig": "longsum_lib.models.lsg.config",
    "LSGRobertaForMaskedLM": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForQuestionAnswering": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForSequenceClassification": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForTokenClassification": "longsum_lib.models.lsg.encoders",
    "LSGRobertaModel": "longsum_lib.models.lsg.encoder_model",
}

__all__ = attach(__name__, _EXPORTS)
