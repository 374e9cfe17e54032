"""The public names of this package, for Python and for type checkers alike."""

from .model import LongT5Decoder as LongT5Decoder
from .model import LongT5Encoder as LongT5Encoder
from .model import LongT5EncoderModel as LongT5EncoderModel
from .model import LongT5ForConditionalGeneration as LongT5ForConditionalGeneration
from .model import LongT5Model as LongT5Model
from .model import LongT5PreTrainedModel as LongT5PreTrainedModel
