"""Scores: facts read from summaries, recall and precision by kind and place, generation in order."""

import argparse
import json

import pytest
import torch

from longsum_lib import evaluation, training
from longsum_lib.corpus import bundled_tokenizer, make_document
from longsum_lib.corpus.world import DATA
from longsum_lib.evaluation import format_table, generate_summaries, read_facts, rouge, score_facts

DOCUMENTS = [make_document(seed, 512, "test") for seed in range(30)]


def test_a_perfect_summary_scores_one_everywhere():
    scores = score_facts(DOCUMENTS, [document.summary for document in DOCUMENTS])
    assert scores.recall.total == sum(len(document.facts) for document in DOCUMENTS)
    assert scores.recall.share == scores.precision.share == scores.names.share == 1.0
    assert scores.stale.share == scores.distracted.share == 0.0
    assert all(counts.share in (None, 1.0) for counts in scores.by_tenth)
    assert {kind: counts.share for kind, counts in scores.by_kind.items()} == dict.fromkeys(
        ("plain", "superseded", "alias"), 1.0
    )


def test_an_empty_summary_scores_nothing():
    scores = score_facts(DOCUMENTS, [""] * len(DOCUMENTS))
    assert scores.recall.share == 0.0
    assert scores.precision.share is None


def test_earlier_values_count_as_stale_and_distractors_as_distracted():
    stale = distracted = None
    for document in DOCUMENTS:
        summary = document.summary
        for fact in document.facts:
            if fact.superseded_value and stale is None:
                stale = score_facts([document], [summary.replace(fact.value, fact.superseded_value)])
        for distractor in document.distractors:
            fact = next((fact for fact in document.facts if fact.slot == distractor.slot), None)
            if fact and distracted is None:
                distracted = score_facts([document], [summary.replace(fact.value, distractor.value)])
    assert (stale.stale.right, stale.recall.total - stale.recall.right) == (1, 1)
    assert (distracted.distracted.right, distracted.recall.total - distracted.recall.right) == (1, 1)


def test_a_value_in_the_sentence_of_another_slot_does_not_count():
    document = next(d for d in DOCUMENTS if {"samples", "cost"} <= {fact.slot for fact in d.facts})
    values = {fact.slot: fact.value for fact in document.facts}
    swapped = document.summary.replace(f"collected {values['samples']}", f"collected {values['cost']}")
    scores = score_facts([document], [swapped])
    assert scores.recall.total - scores.recall.right == 1
    assert scores.precision.total - scores.precision.right == 1


def test_a_fact_that_is_not_in_the_document_costs_precision_only():
    document = next(d for d in DOCUMENTS if "cost" not in {fact.slot for fact in d.facts})
    scores = score_facts([document], [document.summary + " The cost was 1234 crowns."])
    assert scores.recall.share == 1.0
    assert scores.precision.right == scores.precision.total - 1


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("", {}),
        ("The cost was 12 crowns", {}),
        ("The cost was 12 crowns.", {"cost": "12"}),
        ("It was led by Dr A. It was led by Dr B.", {"leader": "A"}),
        ("The party set out in May 1900.", {"start": "May 1900"}),
    ],
)
def test_reading_facts(summary, expected):
    assert read_facts(summary) == expected


def test_summaries_and_documents_must_be_as_many():
    with pytest.raises(ValueError):
        score_facts(DOCUMENTS, [""])


def test_rouge_of_equal_and_of_different_texts():
    pytest.importorskip("rouge_score")
    summaries = [document.summary for document in DOCUMENTS[:3]]
    assert set(rouge(summaries, summaries).values()) == {100.0}
    assert rouge(summaries, ["nothing"] * 3)["rouge1"] == 0.0


@pytest.mark.parametrize("tokens_per_batch", [1, 400, 10_000])
def test_batches_do_not_change_summaries_or_their_order(tokens_per_batch):
    torch.manual_seed(1)
    model, tokenizer = training.tiny_led().eval(), bundled_tokenizer()
    texts = [make_document(seed, length).text for seed, length in enumerate((96, 200, 128, 256))]
    options = {"max_new_tokens": 6}
    expected = [next(generate_summaries(model, tokenizer, [text], **options)) for text in texts]
    found = list(generate_summaries(model, tokenizer, texts, tokens_per_batch=tokens_per_batch, **options))
    assert found == expected


def test_the_first_token_is_made_global():
    class Spy:
        config = training.tiny_led_config()
        device = "cpu"

        def generate(self, **inputs):
            self.inputs = inputs
            return torch.tensor([[2, 1]] * len(inputs["input_ids"]))

    spy = Spy()
    list(generate_summaries(spy, bundled_tokenizer(), ["The survey.", "The long survey was here."]))
    assert spy.inputs["global_attention_mask"].nonzero().tolist() == [[0, 0], [1, 0]]
    assert spy.inputs["attention_mask"].sum(1).unique().numel() == 2


def test_a_report_is_json_and_a_table():
    model = training.tiny_led().eval()
    report = evaluation.evaluate(model, bundled_tokenizer(), length=96, limit=2, max_new_tokens=3)
    again = json.loads(json.dumps(report))
    assert (again["length"], again["documents"], again["recall"]["right"]) == (96, 2, 0)
    lines = format_table([again]).splitlines()
    assert lines[2].startswith("| 96 | 2 | ")
    assert len({line.count("|") for line in lines if line.startswith("|")}) <= 2


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    folder, report = tmp_path / "model", tmp_path / "report.json"
    training.save_checkpoint(training.tiny_led(), folder, training.Recipe(), [])
    parser = argparse.ArgumentParser()
    evaluation.add_evaluate_arguments(parser)
    arguments = ["--model", str(folder), "--length", "96", "128", "--limit", "1", "--json", str(report)]
    assert evaluation.run_evaluate(parser.parse_args(arguments)) == 0
    assert "| 128 | 1 |" in capsys.readouterr().out
    assert [entry["length"] for entry in json.loads(report.read_text())["reports"]] == [96, 128]


CHECKPOINT = DATA.parent / "checkpoints" / "led-tiny"


def test_the_bundled_model_summarizes_documents_that_it_has_not_seen():
    from longsum_lib import load, load_tokenizer

    documents = [make_document(seed, 1024, "test") for seed in range(100, 108)]
    model, tokenizer = load("led-tiny"), load_tokenizer("led-tiny")
    scores = score_facts(documents, generate_summaries(model, tokenizer, [d.text for d in documents]))
    assert scores.recall.share > 0.75
    assert scores.precision.share > 0.75
    assert scores.names.share == 1.0


def test_the_model_card_shows_the_stored_results():
    reports = json.loads((CHECKPOINT / "results.json").read_text(encoding="utf-8"))["reports"]
    card = (CHECKPOINT / "README.md").read_text(encoding="utf-8")
    greedy = [report for report in reports if report["options"]["num_beams"] == 1]
    assert format_table(greedy) in card
    assert {512, 1024, 2048, 4096, 8192, 16384} <= {report["length"] for report in greedy}
    assert "@" not in card


def test_the_checkpoint_is_small_and_holds_no_pickle():
    files = [path for path in CHECKPOINT.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
