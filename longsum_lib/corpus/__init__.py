"""Synthetic long documents with reference summaries, and the tokenizer of the tiny models."""

from longsum_lib.corpus.documents import Difficulty, Distractor, Document, Fact, make_document
from longsum_lib.corpus.tokenizer import bundled_tokenizer, count_tokens

__all__ = [
    "Difficulty",
    "Distractor",
    "Document",
    "Fact",
    "bundled_tokenizer",
    "count_tokens",
    "make_document",
]
