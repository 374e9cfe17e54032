"""The public names of this package, for Python and for type checkers alike."""

from .attention import lsg_attention as lsg_attention
