"""Models with transformers' class names, parameter names and configurations, on this library's attention."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
