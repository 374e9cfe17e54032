"""Where type checkers and editors find the lazy names; a test holds it equal to the table in __init__.py."""

from transformers import LEDConfig as LEDConfig
from transformers import LongT5Config as LongT5Config
from transformers import PegasusXConfig as PegasusXConfig

from longsum_lib.attention.big_bird.attention import big_bird_attention as big_bird_attention
from longsum_lib.attention.block_local import block_local_attention as block_local_attention
from longsum_lib.attention.lsg.attention import lsg_attention as lsg_attention
from longsum_lib.attention.reference import dense_attention as dense_attention
from longsum_lib.attention.sliding_window.attention import sliding_window_attention as sliding_window_attention
from longsum_lib.attention.transient_global.attention import transient_global_attention as transient_global_attention
from longsum_lib.corpus import Document as Document
from longsum_lib.corpus import make_document as make_document
from longsum_lib.generation.document_text import DocumentText as DocumentText
from longsum_lib.generation.documents import read_document as read_document
from longsum_lib.generation.extract import extract as extract
from longsum_lib.generation.jobs.api import summarize_corpus as summarize_corpus
from longsum_lib.generation.jobs.api import summarize_each as summarize_each
from longsum_lib.generation.pipelines import pipeline as pipeline
from longsum_lib.generation.summarize import summarize as summarize
from longsum_lib.generation.summary import Summary as Summary
from longsum_lib.loading.auto import load as load
from longsum_lib.loading.auto import load_tokenizer as load_tokenizer
from longsum_lib.loading.automodels import AutoModel as AutoModel
from longsum_lib.loading.automodels import AutoModelForMaskedLM as AutoModelForMaskedLM
from longsum_lib.loading.automodels import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from longsum_lib.loading.automodels import AutoModelForSeq2SeqLM as AutoModelForSeq2SeqLM
from longsum_lib.loading.automodels import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from longsum_lib.loading.automodels import AutoModelForTokenClassification as AutoModelForTokenClassification
from longsum_lib.loading.automodels import AutoTokenizer as AutoTokenizer
from longsum_lib.loading.convert_lsg import convert_to_lsg as convert_to_lsg
from longsum_lib.models.bigbird_pegasus.model import BigBirdPegasusConfig as BigBirdPegasusConfig
from longsum_lib.models.bigbird_pegasus.model import (
    BigBirdPegasusForConditionalGeneration as BigBirdPegasusForConditionalGeneration,
)
from longsum_lib.models.bigbird_pegasus.model import BigBirdPegasusModel as BigBirdPegasusModel
from longsum_lib.models.led.heads import LEDForConditionalGeneration as LEDForConditionalGeneration
from longsum_lib.models.led.heads import LEDForQuestionAnswering as LEDForQuestionAnswering
from longsum_lib.models.led.heads import LEDForSequenceClassification as LEDForSequenceClassification
from longsum_lib.models.led.heads import LEDModel as LEDModel
from longsum_lib.models.led.heads import LEDTokenizer as LEDTokenizer
from longsum_lib.models.longt5.model import LongT5EncoderModel as LongT5EncoderModel
from longsum_lib.models.longt5.model import LongT5ForConditionalGeneration as LongT5ForConditionalGeneration
from longsum_lib.models.longt5.model import LongT5Model as LongT5Model
from longsum_lib.models.lsg.encoders import LSGBertConfig as LSGBertConfig
from longsum_lib.models.lsg.encoders import LSGBertForMaskedLM as LSGBertForMaskedLM
from longsum_lib.models.lsg.encoders import LSGBertForQuestionAnswering as LSGBertForQuestionAnswering
from longsum_lib.models.lsg.encoders import LSGBertForSequenceClassification as LSGBertForSequenceClassification
from longsum_lib.models.lsg.encoders import LSGBertForTokenClassification as LSGBertForTokenClassification
from longsum_lib.models.lsg.encoders import LSGBertModel as LSGBertModel
from longsum_lib.models.lsg.encoders import LSGRobertaConfig as LSGRobertaConfig
from longsum_lib.models.lsg.encoders import LSGRobertaForMaskedLM as LSGRobertaForMaskedLM
from longsum_lib.models.lsg.encoders import LSGRobertaForQuestionAnswering as LSGRobertaForQuestionAnswering
from longsum_lib.models.lsg.encoders import LSGRobertaForSequenceClassification as LSGRobertaForSequenceClassification
from longsum_lib.models.lsg.encoders import LSGRobertaForTokenClassification as LSGRobertaForTokenClassification
from longsum_lib.models.lsg.encoders import LSGRobertaModel as LSGRobertaModel
from longsum_lib.models.lsg.heads import LSGBartConfig as LSGBartConfig
from longsum_lib.models.lsg.heads import LSGBartForConditionalGeneration as LSGBartForConditionalGeneration
from longsum_lib.models.lsg.heads import LSGBartForQuestionAnswering as LSGBartForQuestionAnswering
from longsum_lib.models.lsg.heads import LSGBartForSequenceClassification as LSGBartForSequenceClassification
from longsum_lib.models.lsg.heads import LSGBartModel as LSGBartModel
from longsum_lib.models.lsg.heads import LSGPegasusConfig as LSGPegasusConfig
from longsum_lib.models.lsg.heads import LSGPegasusForConditionalGeneration as LSGPegasusForConditionalGeneration
from longsum_lib.models.lsg.heads import LSGPegasusForSequenceClassification as LSGPegasusForSequenceClassification
from longsum_lib.models.lsg.heads import LSGPegasusModel as LSGPegasusModel
from longsum_lib.models.pegasus_x import PegasusXForConditionalGeneration as PegasusXForConditionalGeneration
from longsum_lib.models.pegasus_x import PegasusXModel as PegasusXModel

__version__: str
