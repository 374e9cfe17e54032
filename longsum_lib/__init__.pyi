"""The public names of this package, for Python and for type checkers alike."""

from . import attention as attention
from . import corpus as corpus
from . import errors as errors
from . import evaluation as evaluation
from . import memory as memory
from . import models as models
from . import quantization as quantization
from . import training as training
from . import viz as viz
from .attention.big_bird.attention import big_bird_attention as big_bird_attention
from .attention.block_local import block_local_attention as block_local_attention
from .attention.lsg.attention import lsg_attention as lsg_attention
from .attention.reference import dense_attention as dense_attention
from .attention.sliding_window.attention import sliding_window_attention as sliding_window_attention
from .attention.transient_global.attention import transient_global_attention as transient_global_attention
from .corpus import Document as Document
from .corpus import make_document as make_document
from .generation.document_text import DocumentText as DocumentText
from .generation.documents import read_document as read_document
from .generation.extract import extract as extract
from .generation.jobs.api import summarize_corpus as summarize_corpus
from .generation.pipelines import pipeline as pipeline
from .generation.summarize import summarize as summarize
from .generation.summary import Summary as Summary
from .interface.register import register_attention as register_attention
from .loading.auto import load as load
from .loading.auto import load_tokenizer as load_tokenizer
from .loading.automodels import AutoModel as AutoModel
from .loading.automodels import AutoModelForMaskedLM as AutoModelForMaskedLM
from .loading.automodels import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from .loading.automodels import AutoModelForSeq2SeqLM as AutoModelForSeq2SeqLM
from .loading.automodels import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from .loading.automodels import AutoModelForTokenClassification as AutoModelForTokenClassification
from .loading.automodels import AutoTokenizer as AutoTokenizer
from .loading.convert_lsg import convert_to_lsg as convert_to_lsg
from .models._configs import LEDConfig as LEDConfig
from .models._configs import LongT5Config as LongT5Config
from .models._configs import PegasusXConfig as PegasusXConfig
from .models.bigbird_pegasus.model import BigBirdPegasusConfig as BigBirdPegasusConfig
from .models.bigbird_pegasus.model import (
    BigBirdPegasusForConditionalGeneration as BigBirdPegasusForConditionalGeneration,
)
from .models.bigbird_pegasus.model import BigBirdPegasusModel as BigBirdPegasusModel
from .models.led.heads import LEDForConditionalGeneration as LEDForConditionalGeneration
from .models.led.heads import LEDForQuestionAnswering as LEDForQuestionAnswering
from .models.led.heads import LEDForSequenceClassification as LEDForSequenceClassification
from .models.led.heads import LEDModel as LEDModel
from .models.led.heads import LEDTokenizer as LEDTokenizer
from .models.longt5.model import LongT5EncoderModel as LongT5EncoderModel
from .models.longt5.model import LongT5ForConditionalGeneration as LongT5ForConditionalGeneration
from .models.longt5.model import LongT5Model as LongT5Model
from .models.lsg.encoders import LSGBertConfig as LSGBertConfig
from .models.lsg.encoders import LSGBertForMaskedLM as LSGBertForMaskedLM
from .models.lsg.encoders import LSGBertForQuestionAnswering as LSGBertForQuestionAnswering
from .models.lsg.encoders import LSGBertForSequenceClassification as LSGBertForSequenceClassification
from .models.lsg.encoders import LSGBertForTokenClassification as LSGBertForTokenClassification
from .models.lsg.encoders import LSGBertModel as LSGBertModel
from .models.lsg.encoders import LSGRobertaConfig as LSGRobertaConfig
from .models.lsg.encoders import LSGRobertaForMaskedLM as LSGRobertaForMaskedLM
from .models.lsg.encoders import LSGRobertaForQuestionAnswering as LSGRobertaForQuestionAnswering
from .models.lsg.encoders import LSGRobertaForSequenceClassification as LSGRobertaForSequenceClassification
from .models.lsg.encoders import LSGRobertaForTokenClassification as LSGRobertaForTokenClassification
from .models.lsg.encoders import LSGRobertaModel as LSGRobertaModel
from .models.lsg.heads import LSGBartConfig as LSGBartConfig
from .models.lsg.heads import LSGBartForConditionalGeneration as LSGBartForConditionalGeneration
from .models.lsg.heads import LSGBartForQuestionAnswering as LSGBartForQuestionAnswering
from .models.lsg.heads import LSGBartForSequenceClassification as LSGBartForSequenceClassification
from .models.lsg.heads import LSGBartModel as LSGBartModel
from .models.lsg.heads import LSGPegasusConfig as LSGPegasusConfig
from .models.lsg.heads import LSGPegasusForConditionalGeneration as LSGPegasusForConditionalGeneration
from .models.lsg.heads import LSGPegasusForSequenceClassification as LSGPegasusForSequenceClassification
from .models.lsg.heads import LSGPegasusModel as LSGPegasusModel
from .models.pegasus_x import PegasusXForConditionalGeneration as PegasusXForConditionalGeneration
from .models.pegasus_x import PegasusXModel as PegasusXModel

__version__: str
