"""LongT5: local or transient-global attention in the encoder of a T5."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
