"""LSG: local, sparse and global attention in BART, Pegasus, BERT and RoBERTa."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
