"""Characters that nobody sees: removed where they cut words, kept where a script is spelled with them."""

import pytest

from longsum_lib import load, load_tokenizer, read_document, summarize
from longsum_lib.corpus import make_document
from longsum_lib.datasets import Example, Source
from longsum_lib.evaluation import evaluate, generate_summaries
from longsum_lib.generation.invisible import counting, remove_invisible
from longsum_lib.loading import auto
from longsum_lib.training.batches import TokenizedDocuments

SOFT, SPACE, JOINER, NON_JOINER, LEFT, RIGHT, WORD, MARK = "\u00ad\u200b\u200d\u200c\u200e\u200f\u2060\ufeff"


@pytest.mark.parametrize("mark", [SOFT, SPACE, JOINER, NON_JOINER, LEFT, RIGHT, WORD, MARK])
def test_between_latin_letters_each_goes(mark):
    assert remove_invisible(f"a docu{mark}ment{mark}, {mark}twice") == ("a document, twice", 3)


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cروم",  # Persian
        "क\u094d\u200dष क\u094d\u200cष",  # Hindi
        "👩\u200d🚀 👩🏽\u200d🚒 ❤\ufe0f\u200d🔥",
        "ภาษา\u200bไทย",  # Thai, where words end
        "ភាសា\u200bខ្មែរ",  # Khmer
        "שלום\u200fעולם",
        "plain",
        "",
    ],
)
def test_where_a_script_is_spelled_with_them_they_stay(text):
    assert remove_invisible(text) == (text, 0)


def test_a_word_cut_at_a_line_end_by_a_soft_hyphen_is_one_word():
    assert remove_invisible("a docu\u00ad\n  ment") == ("a document", 1)


def test_counting_sees_what_readers_remove():
    with counting() as counts:
        remove_invisible("a\u00adb\u00adc")
        remove_invisible("abc")
    assert counts == [2]


@pytest.fixture(scope="module")
def model():
    return load("led-tiny")


@pytest.fixture(scope="module")
def document():
    return make_document(3, 400, "test")


def spoiled(text, mark=SOFT):
    return " ".join(word if len(word) < 5 else f"{word[:3]}{mark}{word[3:]}" for word in text.split(" "))


@pytest.mark.parametrize("mark", [SOFT, SPACE, WORD])
def test_summarize_reads_the_words(model, document, mark):
    text = spoiled(document.text, mark)
    clean, found = summarize(document.text, model), summarize(text, model)
    assert (found.text, found.input_tokens) == (clean.text, clean.input_tokens)
    assert (clean.invisible, found.invisible) == (0, text.count(mark))
    assert not found.foreign


def test_read_document_counts_them_too(model, document, tmp_path):
    (tmp_path / "a.txt").write_text(spoiled(document.text), encoding="utf-8")
    read = read_document(tmp_path / "a.txt")
    assert read.invisible == spoiled(document.text).count(SOFT)
    assert summarize(read, model).invisible == read.invisible


def test_the_tokenizer_itself_reads_what_it_is_given():
    tokenizer = load_tokenizer("led-tiny")
    assert tokenizer(f"docu{SOFT}ment").input_ids != tokenizer("document").input_ids


def test_evaluating_and_training_read_the_words(model, document, tmp_path):
    tokenizer = auto.load_tokenizer("led-tiny")
    (one,), (other,) = (
        list(generate_summaries(model, tokenizer, [text])) for text in (document.text, spoiled(document.text))
    )
    assert one == other
    examples = [Example(text, document.summary) for text in (document.text, spoiled(document.text))]
    tokens = TokenizedDocuments(examples, tokenizer, max_input_tokens=1000, max_summary_tokens=100)
    assert tokens.documents[0] == tokens.documents[1]
    table = tmp_path / "rows.csv"
    table.write_text(f"text,summary\nA docu{SOFT}ment about rain.,Rain.\nAnother one.,None\n", encoding="utf-8")
    report = evaluate(model, tokenizer, source=Source(str(table)), limit=2, baselines=False, max_new_tokens=4)
    assert report["invisible"] == 1
