"""One decoding step as plain products on buffers that stay: what a summary costs is this, once a token.

``parts`` is what a family's decoder layer says about itself, ``products`` reads its weights, ``documents`` holds the
keys and values of each document, ``rows`` those of the texts that are being written, ``decoder`` is the step itself,
and ``generating`` puts it under transformers' ``generate`` where nobody looks inside.
"""
