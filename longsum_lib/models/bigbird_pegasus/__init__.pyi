"""The public names of this package, for Python and for type checkers alike."""

from .model import BigBirdPegasusConfig as BigBirdPegasusConfig
from .model import BigBirdPegasusDecoder as BigBirdPegasusDecoder
from .model import BigBirdPegasusEncoder as BigBirdPegasusEncoder
from .model import BigBirdPegasusForConditionalGeneration as BigBirdPegasusForConditionalGeneration
from .model import BigBirdPegasusModel as BigBirdPegasusModel
from .model import BigBirdPegasusPreTrainedModel as BigBirdPegasusPreTrainedModel
