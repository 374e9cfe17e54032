"""The public names of this package, for Python and for type checkers alike."""

from .register import register_attention as register_attention
