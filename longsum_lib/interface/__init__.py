"""This library's attention for the models of transformers: ``attn_implementation="longsum"``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
