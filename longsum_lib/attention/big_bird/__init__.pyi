"""The public names of this package, for Python and for type checkers alike."""

from .attention import big_bird_attention as big_bird_attention
from .attention import big_bird_weights as big_bird_weights
