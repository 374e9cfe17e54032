"""The public names of this package, for Python and for type checkers alike."""

from .attention import transient_global_attention as transient_global_attention
from .sums import transient_sums as transient_sums
