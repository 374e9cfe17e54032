"""Efficient attention for summarizing long documents.

Importing this package imports neither torch nor transformers nor matplotlib: each public name is imported
when it is first used.

Example:
    >>> import longsum_lib
    >>> "summarize" in dir(longsum_lib)
    True
"""

from longsum_lib._lazy import attach

__version__ = "0.1.1"

_EXPORTS = {
    "AutoModel": "longsum_lib.models.automodels",
    "AutoModelForMaskedLM": "longsum_lib.models.automodels",
    "AutoModelForQuestionAnswering": "longsum_lib.models.automodels",
    "AutoModelForSeq2SeqLM": "longsum_lib.models.automodels",
    "AutoModelForSequenceClassification": "longsum_lib.models.automodels",
    "AutoModelForTokenClassification": "longsum_lib.models.automodels",
    "AutoTokenizer": "longsum_lib.models.automodels",
    "BigBirdPegasusConfig": "longsum_lib.models.bigbird_pegasus",
    "BigBirdPegasusForConditionalGeneration": "longsum_lib.models.bigbird_pegasus",
    "BigBirdPegasusModel": "longsum_lib.models.bigbird_pegasus",
    "Document": "longsum_lib.corpus",
    "DocumentText": "longsum_lib.generation.document_text",
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
    "Summary": "longsum_lib.summarize",
    "big_bird_attention": "longsum_lib.attention.big_bird",
    "block_local_attention": "longsum_lib.attention.block_local",
    "convert_to_lsg": "longsum_lib.models.lsg_convert",
    "dense_attention": "longsum_lib.attention.reference",
    "extract": "longsum_lib.generation.extract",
    "load": "longsum_lib.models.auto",
    "load_tokenizer": "longsum_lib.models.auto",
    "lsg_attention": "longsum_lib.attention.lsg",
    "make_document": "longsum_lib.corpus",
    "pipeline": "longsum_lib.pipelines",
    "read_document": "longsum_lib.generation.documents",
    "sliding_window_attention": "longsum_lib.attention.sliding_window",
    "summarize": "longsum_lib.summarize",
    "summarize_corpus": "longsum_lib.generation.jobs.api",
    "transient_global_attention": "longsum_lib.attention.transient_global",
}
_SUBMODULES = (
    "attention",
    "cli",
    "corpus",
    "evaluation",
    "memory",
    "models",
    "quantization",
    "training",
    "viz",
)

__all__ = [*attach(__name__, _EXPORTS, _SUBMODULES), "__version__"]
