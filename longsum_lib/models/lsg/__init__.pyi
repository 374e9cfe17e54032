"""The public names of this package, for Python and for type checkers alike."""

from .config import LSGBartConfig as LSGBartConfig
from .config import LSGBertConfig as LSGBertConfig
from .config import LSGFields as LSGFields
from .config import LSGPegasusConfig as LSGPegasusConfig
from .config import LSGRobertaConfig as LSGRobertaConfig
from .encoder_model import LSGBertModel as LSGBertModel
from .encoder_model import LSGRobertaModel as LSGRobertaModel
from .encoders import LSGBertForMaskedLM as LSGBertForMaskedLM
from .encoders import LSGBertForQuestionAnswering as LSGBertForQuestionAnswering
from .encoders import LSGBertForSequenceClassification as LSGBertForSequenceClassification
from .encoders import LSGBertForTokenClassification as LSGBertForTokenClassification
from .encoders import LSGRobertaForMaskedLM as LSGRobertaForMaskedLM
from .encoders import LSGRobertaForQuestionAnswering as LSGRobertaForQuestionAnswering
from .encoders import LSGRobertaForSequenceClassification as LSGRobertaForSequenceClassification
from .encoders import LSGRobertaForTokenClassification as LSGRobertaForTokenClassification
from .heads import LSGBartForConditionalGeneration as LSGBartForConditionalGeneration
from .heads import LSGBartForQuestionAnswering as LSGBartForQuestionAnswering
from .heads import LSGBartForSequenceClassification as LSGBartForSequenceClassification
from .heads import LSGPegasusForConditionalGeneration as LSGPegasusForConditionalGeneration
from .heads import LSGPegasusForSequenceClassification as LSGPegasusForSequenceClassification
from .model import LSGBartModel as LSGBartModel
from .model import LSGModel as LSGModel
from .model import LSGPegasusModel as LSGPegasusModel
