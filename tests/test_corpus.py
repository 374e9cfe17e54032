"""The corpus: deterministic, of the asked length, with evidence where it says, held-out names in the test split."""

import json
import re

import pytest

from longsum_lib.corpus import Difficulty, bundled_documents, make_document, out_of_world, world_share
from longsum_lib.corpus.tokenizer import (
    BOS,
    EOS,
    PAD,
    TOKENIZER_FOLDER,
    bundled_tokenizer,
    count_tokens,
    encode,
    token_span,
    train_tokenizer,
)
from longsum_lib.corpus.world import DATA, is_held_out, world
from longsum_lib.evaluation import read_facts

LENGTHS = (96, 128, 256, 512, 1024, 4096)


def documents(split="test", lengths=LENGTHS, seeds=range(4), **options):
    return [make_document(seed, length, split, **options) for length in lengths for seed in seeds]


def test_the_same_arguments_give_the_same_document():
    assert make_document(3, 600, "train") == make_document(3, 600, "train")
    assert make_document(3, 600, "train").text != make_document(4, 600, "train").text
    assert make_document(3, 600, "train").name != make_document(3, 600, "test").name


def test_a_known_document_has_not_changed():
    """Trained models depend on the generator: a change here means that their model cards are out of date."""
    document = make_document(0, 512, "test")
    assert (document.name, document.alias, len(document.facts)) == ("Melamven", "Weasel", 6)


@pytest.mark.parametrize("length", [96, 512, 5000, 65_536])
def test_length_is_an_upper_bound_that_is_nearly_reached(length):
    document = make_document(1, length, "test")
    assert length - 45 <= document.tokens <= length
    assert document.tokens == len(bundled_tokenizer()(document.text).input_ids)


@pytest.mark.parametrize("length", [95, 65_537])
def test_lengths_out_of_range_are_refused(length):
    with pytest.raises(ValueError, match=f"length is {length}, expected 96 to 65536"):
        make_document(0, length)


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split is 'dev'"):
        make_document(0, 512, "dev")


def test_evidence_and_values_stand_where_the_facts_say():
    for document in documents():
        assert document.facts
        for fact in document.facts:
            sentence = document.text[slice(*fact.evidence)]
            assert document.text[slice(*fact.value_span)] == fact.value
            assert fact.evidence[0] <= fact.value_span[0] < fact.value_span[1] <= fact.evidence[1]
            assert sentence.endswith(".")
            assert fact.position == fact.evidence[0] / len(document.text)
        for distractor in document.distractors:
            assert distractor.value in document.text[slice(*distractor.evidence)]


def test_corrections_come_after_what_they_correct():
    facts = [fact for document in documents(seeds=range(10)) for fact in document.facts]
    corrected = [fact for fact in facts if fact.kind == "superseded"]
    assert len(corrected) > 20
    for fact in corrected:
        assert fact.superseded_evidence[1] <= fact.evidence[0]
        assert fact.superseded_value != fact.value
    assert all(fact.superseded_value is None for fact in facts if fact.kind != "superseded")


def test_alias_facts_are_late_and_name_the_survey_by_its_alias_only():
    pairs = [(d, fact) for d in documents(seeds=range(10)) for fact in d.facts if fact.kind == "alias"]
    assert len(pairs) > 10
    for document, fact in pairs:
        sentence = document.text[slice(*fact.evidence)]
        assert f"the {document.alias} party".lower() in sentence.lower()
        assert document.name not in sentence
        assert document.text.index(document.alias) < fact.evidence[0]


def test_the_summary_holds_the_facts_and_nothing_else():
    for document in documents():
        assert read_facts(document.summary) == {fact.slot: fact.value for fact in document.facts}
        assert document.summary.startswith(f"This is the report of the {document.name} survey.")
        assert document.summary.count(".") == len(document.facts) + 1


def test_distractors_differ_from_the_facts():
    for document in documents(seeds=range(10)):
        facts = {(fact.slot, fact.value) for fact in document.facts}
        assert facts.isdisjoint((d.slot, d.value) for d in document.distractors)


def test_knobs_turn_the_hard_parts_off():
    plain = Difficulty(superseded=0, alias=0, distractors_per_fact=0, distractors_per_1000_tokens=0)
    for document in documents(difficulty=plain):
        assert {fact.kind for fact in document.facts} == {"plain"}
        assert not document.distractors


def test_key_facts_are_spread_over_the_document():
    tenths = [int(10 * fact.position) for d in documents(lengths=[2048], seeds=range(60)) for fact in d.facts]
    expected = len(tenths) / 10
    for tenth in range(10):
        assert 0.5 * expected < tenths.count(tenth) < 1.6 * expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_names_and_numbers_of_the_splits_do_not_overlap(split):
    for document in documents(split):
        values = [fact.value for fact in document.facts if fact.slot != "finding"]
        values += [d.value for d in document.distractors if d.slot != "finding"]
        for value in [document.name, *values]:
            assert is_held_out(value.split()[-1]) == (split == "test")  # of a date, the year


def test_every_template_names_its_value_once_and_its_subject_at_most_once():
    for slot in world()["slots"]:
        assert slot["summary"].count("{v}") == 1
        for template in slot["facts"]:
            assert (template.count("{v}"), template.count("{S}")) == (1, 1)
        for template in slot["corrections"] + slot["rumours"]:
            assert (template.count("{v}"), template.count("{S}")) == (1, 0)


def test_a_document_reads_as_a_report():
    text = make_document(0, 2048, "test").text
    paragraphs = text.strip().split("\n\n")
    assert paragraphs[0].startswith("Report of the ")
    assert len([p for p in paragraphs if re.fullmatch(r"\d+\. [A-Z][A-Za-z ]+", p)]) >= 4
    assert "{" not in text
    assert "  " not in text
    sentences = " ".join(paragraphs[2:]).split(". ")
    assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in sentences)


def test_documents_can_be_written_as_json():
    document = make_document(0, 256)
    assert json.loads(json.dumps(document.to_dict()))["summary"] == document.summary


def test_tokenizer_special_ids_and_round_trip():
    tokenizer = bundled_tokenizer()
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (PAD, EOS, BOS) == (0, 1, 2)
    assert len(tokenizer) <= 2000
    for text in ("It cost 7606 crowns.", "naïve 日本 €5 – ok?"):
        ids = tokenizer(text).input_ids
        assert (ids[0], ids[-1]) == (BOS, EOS)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_word_by_word_encoding_is_what_the_tokenizer_gives():
    for document in documents(lengths=[512]):
        assert encode(document.text) == bundled_tokenizer()(document.text).input_ids
        assert count_tokens(document.text) == document.tokens - 2


def test_both_tokenizer_files_agree():
    sentencepiece = pytest.importorskip("sentencepiece")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(TOKENIZER_FOLDER / "spiece.model"))
    tokenizer = bundled_tokenizer()
    for document in documents(lengths=[512]):
        assert pieces.encode(document.text) == tokenizer(document.text).input_ids[1:-1]


def test_the_tokenizer_can_be_made_again(tmp_path):
    pytest.importorskip("sentencepiece")
    train_tokenizer(tmp_path)
    made, stored = (json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path, TOKENIZER_FOLDER))
    assert made["model"]["vocab"] == stored["model"]["vocab"]
    assert made["model"]["merges"] == stored["model"]["merges"]


def test_no_name_is_a_single_piece_and_digits_are_split():
    tokenizer = bundled_tokenizer()
    for document in documents(lengths=[512]):
        assert len(tokenizer.tokenize(document.name)) > 1
    assert tokenizer.tokenize("4096")[1:] == ["4", "0", "9", "6"]


def test_token_spans_decode_to_the_values():
    tokenizer = bundled_tokenizer()
    for document in documents(lengths=[300]):
        ids = tokenizer(document.text).input_ids
        for fact in document.facts:
            first, end = token_span(document.text, fact.value_span)
            assert tokenizer.decode(ids[first:end]).strip() == fact.value
    with pytest.raises(ValueError, match="no token overlaps"):
        token_span("a b", (10, 12))


def test_texts_of_other_worlds_are_recognized():
    for document in documents(lengths=[256, 1024]):
        assert not out_of_world(document.text)
    for text in (
        "",
        "It was a bright cold day in April, and the clocks were striking thirteen.",
        "We propose a simple network architecture based solely on attention mechanisms.",
        "The committee found that the agency had not taken all of the steps that the law asks for.",
    ):
        assert out_of_world(text)
    assert world_share("The survey worked on the Kelsan plateau.") == 1.0


def test_bundled_documents_are_the_first_of_the_test_split():
    entries = bundled_documents()
    assert [entry["seed"] for entry in entries] == [0, 1, 2]
    for entry in entries:
        text = (DATA / "documents" / entry["file"]).read_text(encoding="utf-8")
        document = make_document(entry["seed"], entry["length"], "test")
        assert text == document.text
        assert entry["summary"] == document.summary
        assert 4000 <= entry["tokens"] <= 12_000
