"""Synthetic long documents with reference summaries, and the tokenizer of the tiny models."""

from longsum_lib.corpus.bundled import bundled_documents
from longsum_lib.corpus.documents import make_document
from longsum_lib.corpus.guard import out_of_world, world_share
from longsum_lib.corpus.records import Difficulty, Distractor, Document, Fact
from longsum_lib.corpus.tokenizer import bundled_tokenizer, count_tokens, token_span

__all__ = [
    "Difficulty",
    "Distractor",
    "Document",
    "Fact",
    "bundled_documents",
    "bundled_tokenizer",
    "count_tokens",
    "make_document",
    "out_of_world",
    "token_span",
    "world_share",
]
