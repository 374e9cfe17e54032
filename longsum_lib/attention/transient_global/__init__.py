"""A window of near tokens and the means of all blocks: LongT5."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
