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
    "AutoModel": "longsum_lib.loading.automodels",
    "AutoModelForMaskedLM": "longsum_lib.loading.automodels",
    "AutoModelForQuestionAnswering": "longsum_lib.loading.automodels",
    "AutoModelForSeq2SeqLM": "longsum_lib.loading.automodels",
    "AutoModelForSequenceClassification": "longsum_lib.loading.automodels",
    "AutoModelForTokenClassification": "longsum_lib.loading.automodels",
    "AutoTokenizer": "longsum_lib.loading.automodels",
    "BigBirdPegasusConfig": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusForConditionalGeneration": "longsum_lib.models.bigbird_pegasus.model",
    "BigBirdPegasusModel": "longsum_lib.models.bigbird_pegasus.model",
    "Document": "longsum_lib.corpus",
    "DocumentText": "longsum_lib.generation.document_text",
    "LEDConfig": "transformers",
    "LEDForConditionalGeneration": "longsum_lib.models.led.heads",
    "LEDForQuestionAnswering": "longsum_lib.models.led.heads",
    "LEDForSequenceClassification": "longsum_lib.models.led.heads",
    "LEDModel": "longsum_lib.models.led.heads",
    "LEDTokenizer": "longsum_lib.models.led.heads",
    "LSGBartConfig": "longsum_lib.models.lsg.heads",
    "LSGBartForConditionalGeneration": "longsum_lib.models.lsg.heads",
    "LSGBartForQuestionAnswering": "longsum_lib.models.lsg.heads",
    "LSGBartForSequenceClassification": "longsum_lib.models.lsg.heads",
    "LSGBartModel": "longsum_lib.models.lsg.heads",
    "LSGBertConfig": "longsum_lib.models.lsg.encoders",
    "LSGBertForMaskedLM": "longsum_lib.models.lsg.encoders",
    "LSGBertForQuestionAnswering": "longsum_lib.models.lsg.encoders",
    "LSGBertForSequenceClassification": "longsum_lib.models.lsg.encoders",
    "LSGBertForTokenClassification": "longsum_lib.models.lsg.encoders",
    "LSGBertModel": "longsum_lib.models.lsg.encoders",
    "LSGPegasusConfig": "longsum_lib.models.lsg.heads",
    "LSGPegasusForConditionalGeneration": "longsum_lib.models.lsg.heads",
    "LSGPegasusForSequenceClassification": "longsum_lib.models.lsg.heads",
    "LSGPegasusModel": "longsum_lib.models.lsg.heads",
    "LSGRobertaConfig": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForMaskedLM": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForQuestionAnswering": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForSequenceClassification": "longsum_lib.models.lsg.encoders",
    "LSGRobertaForTokenClassification": "longsum_lib.models.lsg.encoders",
    "LSGRobertaModel": "longsum_lib.models.lsg.encoders",
    "LongT5Config": "transformers",
    "LongT5EncoderModel": "longsum_lib.models.longt5.model",
    "LongT5ForConditionalGeneration": "longsum_lib.models.longt5.model",
    "LongT5Model": "longsum_lib.models.longt5.model",
    "PegasusXConfig": "transformers",
    "PegasusXForConditionalGeneration": "longsum_lib.models.pegasus_x",
    "PegasusXModel": "longsum_lib.models.pegasus_x",
    "Summary": "longsum_lib.generation.summary",
    "big_bird_attention": "longsum_lib.attention.big_bird.attention",
    "block_local_attention": "longsum_lib.attention.block_local",
    "convert_to_lsg": "longsum_lib.loading.convert_lsg",
    "dense_attention": "longsum_lib.attention.reference",
    "extract": "longsum_lib.generation.extract",
    "load": "longsum_lib.loading.auto",
    "load_tokenizer": "longsum_lib.loading.auto",
    "lsg_attention": "longsum_lib.attention.lsg.attention",
    "make_document": "longsum_lib.corpus",
    "pipeline": "longsum_lib.generation.pipelines",
    "read_document": "longsum_lib.generation.documents",
    "sliding_window_attention": "longsum_lib.attention.sliding_window.attention",
    "summarize": "longsum_lib.generation.summarize",
    "summarize_corpus": "longsum_lib.generation.jobs.api",
    "summarize_each": "longsum_lib.generation.jobs.api",
    "transient_global_attention": "longsum_lib.attention.transient_global.attention",
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
