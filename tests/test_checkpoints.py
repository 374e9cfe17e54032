"""The bundled models: complete, small, as their cards say, and able to summarize a document of their world."""

import dataclasses
import json

import pytest
import torch

from longsum_lib import load, load_tokenizer
from longsum_lib.corpus import bundled_documents, make_document
from longsum_lib.corpus.tokenizer import bundled_tokenizer
from longsum_lib.corpus.world import DATA
from longsum_lib.evaluation import format_table, generate_summaries, read_facts, score_facts
from longsum_lib.generation.summarize import summarize
from longsum_lib.loading.checkpoint_files import bundled_models
from longsum_lib.tiny.recipes import TINY_MODELS

NAMES = [f"{mechanism}-tiny" for mechanism in TINY_MODELS]
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "results.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
}


def test_every_mechanism_that_can_be_trained_is_bundled():
    assert sorted(bundled_models()) == sorted(NAMES)


@pytest.fixture(params=NAMES)
def folder(request):
    return bundled_models()[request.param]


def test_a_checkpoint_is_complete_small_and_without_pickle(folder):
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} == FILES
    assert sum(path.stat().st_size for path in files) <= 8_000_000


def test_weights_are_stored_in_half_precision(folder):
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert all(weight.isfinite().all() for weight in weights.values())


def test_the_tokenizer_is_the_bundled_one(folder):
    tokenizer = load_tokenizer(folder.name)
    text = make_document(0, 200).text
    assert tokenizer(text).input_ids == bundled_tokenizer()(text).input_ids


def test_the_card_shows_the_stored_results(folder):
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert stored["model"] == folder.name
    greedy = [report for report in stored["reports"] if report["options"]["num_beams"] == 1]
    beams = [report for report in stored["reports"] if report["options"]["num_beams"] == 4]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert format_table(greedy) in card
    assert format_table(beams) in card
    assert {report["length"]: report["documents"] for report in greedy} == {
        512: 50,
        1024: 50,
        2048: 50,
        4096: 50,
        8192: 30,
        16384: 20,
    }


def test_the_card_names_the_command_and_the_recipe(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    mechanism = folder.name.removesuffix("-tiny")
    assert f"longsum train --model {mechanism} --output " in card
    assert record["recipe"] == dataclasses.asdict(TINY_MODELS[mechanism].recipe)
    assert record["step_and_loss"][-1][0] == TINY_MODELS[mechanism].recipe.steps
    assert record["step_and_loss"][-1][1] < 0.1


def test_a_bundled_document_is_summarized_with_its_facts(folder):
    entry = min(bundled_documents(), key=lambda entry: entry["tokens"])
    text = (DATA / "documents" / entry["file"]).read_text(encoding="utf-8")
    summary = summarize(text, model=folder.name)
    found = read_facts(summary.text)
    right = [fact["slot"] for fact in entry["facts"] if found.get(fact["slot"]) == fact["value"]]
    assert f"the {entry['name']} survey" in summary.text
    assert len(right) >= len(entry["facts"]) * 2 // 3, summary.text


def test_held_out_documents_are_summarized_about_as_well_as_the_card_says(folder):
    reports = json.loads((folder / "results.json").read_text(encoding="utf-8"))["reports"]
    promised = next(report["recall"]["share"] for report in reports if report["length"] == 1024)
    documents = [make_document(seed, 1024, "test") for seed in range(100, 108)]
    model, tokenizer = load(folder.name), load_tokenizer(folder.name)
    summaries = generate_summaries(model, tokenizer, [document.text for document in documents], batch_size=8)
    scores = score_facts(documents, [summary.text for summary in summaries])
    assert scores.recall.share > promised - 0.15
    assert scores.names.share > 0.8
