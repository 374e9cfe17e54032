"""The public names of this package, for Python and for type checkers alike."""

from .batches import Collator as Collator
from .batches import TokenizedDocuments as TokenizedDocuments
from .batches import summary_loss as summary_loss
from .fine_tuning import add_lora as add_lora
from .fine_tuning import check_precision as check_precision
from .fine_tuning import fine_tune as fine_tune
from .settings import FineTuning as FineTuning
