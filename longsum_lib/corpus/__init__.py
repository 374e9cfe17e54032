"""Synthetic long documents with reference summaries, and the tokenizer of the tiny models."""

from longsum_lib.corpus.command import add_corpus_arguments, bundled_documents, run_corpus
from longsum_lib.corpus.documents import make_document
from longsum_lib.corpus.guard import out_of_world, world_share
from longsum_lib.corpus.records import Difficulty, Distractor, Document, Fact
from longsum_lib.corpus.tokenizer import bundled_tokenizer, count_tokens, token_span

__all__ = [
    "Difficulty",
    "Distractor",
    "Document",
    "Fact",
    "add_corpus_arguments",
    "bundled_documents",
    "bundled_tokenizer",
    "count_tokens",
    "make_document",
    "out_of_world",
    "run_corpus",
    "token_span",
    "world_share",
]
