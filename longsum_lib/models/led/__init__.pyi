"""The public names of this package, for Python and for type checkers alike."""

from .heads import LEDForConditionalGeneration as LEDForConditionalGeneration
from .heads import LEDForQuestionAnswering as LEDForQuestionAnswering
from .heads import LEDForSequenceClassification as LEDForSequenceClassification
from .model import LEDDecoder as LEDDecoder
from .model import LEDEncoder as LEDEncoder
from .model import LEDModel as LEDModel
from .model import LEDPreTrainedModel as LEDPreTrainedModel
from .tokenizer import LEDTokenizer as LEDTokenizer
