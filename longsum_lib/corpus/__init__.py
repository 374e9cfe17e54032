"""Synthetic long documents with reference summaries, and the tokenizer of the tiny models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
