"""Very long texts: counted no further than needed, cut where they must be, in bounded memory."""

import tracemalloc

import pytest

from longsum_lib import load, load_tokenizer, summarize
from longsum_lib.corpus import make_document, world_share
from longsum_lib.errors import DocumentTooLong
from longsum_lib.evaluation import generate_summaries
from longsum_lib.generation import lengths

pytestmark = pytest.mark.filterwarnings("ignore::longsum_lib.errors.OutOfWorldWarning")
WORDS = "the survey measured stones at the harbour. "


@pytest.fixture(scope="module")
def model():
    return load("led-tiny")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("led-tiny")


class Counting:
    """A tokenizer that keeps how many characters it was given."""

    def __init__(self, tokenizer):
        self.tokenizer, self.characters, self.longest = tokenizer, 0, 0

    def __call__(self, texts, **options):
        for text in [texts] if isinstance(texts, str) else texts:
            self.characters += len(text)
            self.longest = max(self.longest, len(text))
        return self.tokenizer(texts, **options)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


@pytest.mark.parametrize("text", [WORDS * 60_000, "a" * 2_500_000], ids=["words", "one word"])
def test_a_text_far_too_long_is_refused_after_its_first_pieces(model, tokenizer, text):
    counting = Counting(tokenizer)
    with pytest.raises(DocumentTooLong, match=r"has at least [\d,]+ tokens, led-tiny takes at most 16,384") as error:
        summarize(text, model, tokenizer=counting, anyway=True)
    assert error.value.at_least
    assert error.value.tokens > 16_384
    assert counting.characters < 300_000


def test_a_text_of_usual_length_is_counted_to_the_token(model, tokenizer):
    text = make_document(0, 20_000).text
    with pytest.raises(DocumentTooLong) as error:
        summarize(text, model, tokenizer=tokenizer)
    assert error.value.tokens == len(tokenizer(text).input_ids)
    assert not error.value.at_least


def test_refusing_needs_little_memory(model, tokenizer):
    text = WORDS * 60_000
    tracemalloc.start()
    with pytest.raises(DocumentTooLong):
        summarize(text, model, tokenizer=tokenizer, anyway=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(text)


def test_the_beginning_of_a_long_text_is_what_truncation_reads(model, tokenizer, monkeypatch):
    text = make_document(0, 60_000).text
    exact = summarize(text, model, tokenizer=tokenizer, truncate=True, max_new_tokens=8)
    monkeypatch.setattr("longsum_lib.generation.writer.LARGE", 1000)
    monkeypatch.setattr("longsum_lib.generation.flow.LARGE", 1000)
    counting = Counting(tokenizer)
    quick = summarize(text, model, tokenizer=counting, truncate=True, max_new_tokens=8)
    assert quick.text == exact.text
    assert abs(quick.input_tokens - exact.input_tokens) <= len(list(lengths.pieces(text)))
    assert quick.truncated == quick.input_tokens - 16_384
    assert counting.longest < len(text) / 2


def test_evaluating_reads_the_same_beginning(model, tokenizer, monkeypatch):
    text = make_document(0, 3_000).text
    options = {"max_input_tokens": 300, "max_new_tokens": 8}
    (exact,) = generate_summaries(model, tokenizer, [text], **options)
    monkeypatch.setattr("longsum_lib.generation.writer.LARGE", 1000)
    monkeypatch.setattr(lengths, "PIECE", 500)
    monkeypatch.setattr(lengths, "_WORD", 100)
    (quick,) = generate_summaries(model, tokenizer, [text], **options)
    assert quick.text == exact.text


def test_pieces_are_the_text_and_end_between_words():
    text = WORDS * 3_000
    pieces = list(lengths.pieces(text))
    assert "".join(pieces) == text
    assert all(piece[0] == " " for piece in pieces[1:])
    assert [len(piece) for piece in lengths.pieces("a" * 70_000)] == [32_768, 32_768, 4_464]


def test_a_wall_of_one_letter_is_no_text_of_the_corpus():
    assert world_share("a" * 500_000) == 0.0
