"""This library's attention for the models of transformers: ``attn_implementation="longsum"``."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "register_attention": "longsum_lib.interface.register",
}

__all__ = attach(__name__, _EXPORTS)
