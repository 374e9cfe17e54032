"""Scores: facts read from summaries, recall and precision by kind and place, generation in order."""

import argparse
import csv
import gzip
import importlib.util
import json
from collections import Counter
from itertools import pairwise

import pytest
import torch
from families import FAMILIES
from hypothesis import given
from hypothesis import strategies as st

from longsum_lib import datasets as datasets_module
from longsum_lib import evaluation
from longsum_lib.cli.commands import evaluate as evaluate_command
from longsum_lib.corpus import bundled_tokenizer, make_document
from longsum_lib.corpus.tokenizer import BOS, EOS, PAD, VOCABULARY
from longsum_lib.corpus.world import DATA
from longsum_lib.errors import DocumentError, LongsumError, MissingExtra, NoNetwork, OptionError
from longsum_lib.evaluation import (
    Source,
    SummaryStore,
    Texts,
    evaluate,
    format_table,
    generate_summaries,
    read_facts,
    rouge,
    score_all,
    score_facts,
)


def tiny_model():
    """A random LED for the bundled tokenizer."""
    torch.manual_seed(1)
    special = {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS, "decoder_start_token_id": BOS}
    family = FAMILIES["led"]
    return family.ours()(family.config(vocab_size=VOCABULARY, init_std=0.3, **special)).eval()


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


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_batches_do_not_change_summaries_or_their_order(batch_size):
    model, tokenizer = tiny_model(), bundled_tokenizer()
    texts = [make_document(seed, length).text for seed, length in enumerate((96, 200, 128, 256))]
    options = {"max_new_tokens": 6}
    expected = [next(generate_summaries(model, tokenizer, [text], **options)) for text in texts]
    found = list(generate_summaries(model, tokenizer, texts, batch_size=batch_size, **options))
    assert found == expected


def test_the_first_token_is_made_global(monkeypatch):
    model, seen = tiny_model(), []
    generate = model.generate

    def watched(**inputs):
        seen.append(inputs["global_attention_mask"].nonzero().tolist())
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", watched)
    texts = ["The survey.", "The long survey was here."]
    list(generate_summaries(model, bundled_tokenizer(), texts, max_new_tokens=2))
    assert seen == [[[0, 0]], [[0, 0]]]


def test_a_document_that_is_too_long_is_cut_and_counted():
    model = tiny_model()
    text = make_document(0, 200).text
    short, long = (
        next(generate_summaries(model, bundled_tokenizer(), [text], max_input_tokens=n, max_new_tokens=3))
        for n in (1000, 50)
    )
    assert (short.truncated, long.truncated) == (0, short.input_tokens - 50)
    report = evaluate(model, bundled_tokenizer(), length=128, limit=2, max_input_tokens=50, max_new_tokens=3)
    assert (report["truncated"], report["unfinished"], report["max_input_tokens"]) == (2, 2, 50)


def test_evaluation_puts_the_model_back_into_training_mode():
    model = tiny_model().train()
    evaluate(model, bundled_tokenizer(), length=96, limit=1, max_new_tokens=2)
    assert model.training


def test_a_report_is_json_and_a_table():
    model = tiny_model().eval()
    report = evaluate(model, bundled_tokenizer(), length=96, limit=2, max_new_tokens=3)
    again = json.loads(json.dumps(report))
    assert (again["length"], again["documents"], again["recall"]["right"]) == (96, 2, 0)
    assert again["baselines"]["reference"]["rouge"]["rouge1"] == 100.0
    assert again["baselines"]["reference"]["values"]["share"] == 1.0
    lines = format_table([again]).splitlines()
    assert lines[2].startswith("| 96 | 2 | ")
    for head, rule in pairwise(lines):
        if rule.startswith("|---"):
            assert head.count("|") == rule.count("|")


def test_reports_of_before_the_baselines_can_still_be_printed():
    report = evaluate(tiny_model(), bundled_tokenizer(), length=96, limit=2, max_new_tokens=3)
    old = {key: report[key] for key in report if key not in ("baselines", "intervals", "text", "values", "truncated")}
    assert format_table([old]).splitlines()[2].startswith("| 96 | 2 | ")


# The command.


def run(*arguments):
    parser = argparse.ArgumentParser()
    evaluate_command.add(parser)
    return evaluate_command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model().save_pretrained(folder)
    bundled_tokenizer().save_pretrained(folder)
    return folder


def test_the_command_prints_a_table_and_writes_json(checkpoint, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert run("--model", checkpoint, "--length", 96, 128, "--limit", 1, "--json", report) == 0
    assert "| 128 | 1 |" in capsys.readouterr().out
    assert [entry["length"] for entry in json.loads(report.read_text())["reports"]] == [96, 128]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]  # the summaries' file has gone


class Interrupt:
    """Ctrl-C while the n-th document is being summarized."""

    def __init__(self, monkeypatch, after):
        from longsum_lib.generation.writer import Writer

        self.calls, decode = 0, Writer._decode

        def interrupted(writer, *args):
            self.calls += 1
            if self.calls > after:
                raise KeyboardInterrupt
            return decode(writer, *args)

        monkeypatch.setattr(Writer, "_decode", interrupted)


def test_an_interruption_loses_at_most_one_document(checkpoint, tmp_path, capsys, monkeypatch):
    options = ("--model", checkpoint, "--length", 96, 128, "--limit", 3, "--batch-size", 1, "--max-new-tokens", 4)
    straight, broken = tmp_path / "straight.json", tmp_path / "broken.json"
    run(*options, "--json", straight)
    with monkeypatch.context() as patch:
        Interrupt(patch, after=4)
        assert run(*options, "--json", broken) == 130
    assert "interrupted; 4 summaries are in" in capsys.readouterr().err
    summaries = tmp_path / "broken.json.summaries.jsonl"
    with summaries.open("a") as file:
        file.write('{"report": "128 tokens", "ind')  # cut off while it was written
    with pytest.raises(OptionError, match="holds summaries of an earlier run"):
        run(*options, "--json", broken)
    with pytest.raises(OptionError, match=r"another max_new_tokens \(4, now 5\)"):
        run(*options[:-1], 5, "--json", broken, "--resume")
    with monkeypatch.context() as patch:
        left = Interrupt(patch, after=2)
        run(*options, "--json", broken, "--resume")
        assert left.calls == 2
    first, second = (json.loads(path.read_text())["reports"] for path in (straight, broken))
    for reports in (first, second):
        for report in reports:
            report.pop("seconds")
    assert first == second


def test_a_stored_summary_of_another_text_is_refused(tmp_path):
    store = SummaryStore(tmp_path / "s.jsonl", {"model": "m"})
    store.add("r", 0, "one text", {"text": "x"})
    again = SummaryStore(tmp_path / "s.jsonl", {"model": "m"}, resume=True)
    assert again.get("r", 0, "one text")["text"] == "x"
    assert again.get("r", 1, "one text") is None
    with pytest.raises(OptionError, match="document 1 of r has changed"):
        again.get("r", 0, "another text")


def test_a_file_that_holds_no_summaries_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(OptionError, match="holds no summaries"):
        SummaryStore(path, {}, resume=True)
    assert path.read_text() == "my notes\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "x.jsonl", "--length", "96"], "--length is for the synthetic corpus"),
        (["--config", "document"], "--config is for data sets"),
        (["--split", "validation"], "no split 'validation'"),
        (["--resume"], "give --summaries or --json"),
        (["--dataset", "nothing-there.jsonl"], "no file nothing-there.jsonl"),
    ],
)
def test_wrong_usage_is_one_clear_line(checkpoint, arguments, message):
    with pytest.raises(LongsumError, match=message):
        run("--model", checkpoint, *arguments)


# Data sets.

ROWS = [{"article": f"Text number {i}. It has two sentences.", "abstract": f"Number {i}."} for i in range(4)]


def write_rows(path, rows=ROWS):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text("\n  " + json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("datasets")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(rows)
    return path


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_files_of_every_kind_are_read(tmp_path, kind):
    rows = [*ROWS, {"article": 'A "long" text,\nof two lines; ' + "word " * 40_000, "abstract": "Änd"}]
    source = Source(str(write_rows(tmp_path / f"set{kind}", rows)))
    assert [(e.text, e.summary) for e in source.examples()] == [(r["article"], r["abstract"]) for r in rows]
    assert len(list(source.examples(2))) == 2
    assert source.describe()["dataset"] == f"set{kind}"


def test_only_what_is_asked_for_is_read(tmp_path):
    path = write_rows(tmp_path / "set.jsonl")
    path.write_text(path.read_text() + "this is no JSON\n")
    assert len(list(Source(str(path)).examples(4))) == 4
    with pytest.raises(DocumentError, match=r"set\.jsonl is not JSON"):
        list(Source(str(path)).examples(5))


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([{"a": "x", "b": "y"}], {}, "which column holds the text.* It has: a, b"),
        ([{"text": "x", "b": "y"}], {}, "which column holds the summary"),
        (ROWS, {"text_column": "body"}, "no column 'body'; it has: article, abstract"),
        ([{"text": "x", "summary": 3}], {}, "row 1: column 'summary' holds 3, expected some text"),
        ([*ROWS, {"article": " ", "abstract": "y"}], {"strict": True}, "row 5: column 'article' holds ' '"),
        ([["x"]], {}, "row 1: .*expected an object"),
    ],
)
def test_rows_that_cannot_be_used_say_why(tmp_path, rows, columns, message):
    with pytest.raises(LongsumError, match=message):
        list(Source(str(write_rows(tmp_path / "set.jsonl", rows)), **columns).examples())


def test_columns_may_be_named_and_lists_of_sentences_are_lines(tmp_path):
    path = write_rows(tmp_path / "set.jsonl", [{"text": "no", "body": ["A.", "B."], "gist": "C."}])
    (example,) = Source(str(path), text_column="body", summary_column="gist").examples()
    assert (example.text, example.summary) == ("A.\nB.", "C.")


def test_documents_of_the_corpus_keep_their_facts_in_a_file(tmp_path):
    rows = [json.loads(json.dumps(document.to_dict())) for document in DOCUMENTS[:2]]
    examples = list(Source(str(write_rows(tmp_path / "set.jsonl", rows))).examples())
    report = score_all(examples, [example.summary for example in examples], baselines=False)
    assert report["recall"]["share"] == 1.0
    report |= {"dataset": "set.jsonl", "documents": 2}
    assert "| set.jsonl | 2 |" in format_table([report])


def test_a_file_is_evaluated_like_the_corpus(checkpoint, tmp_path, capsys):
    path = write_rows(tmp_path / "set.csv")
    run("--model", checkpoint, "--dataset", path, "--limit", 0, "--max-new-tokens", 4, "--json", tmp_path / "r.json")
    (report,) = json.loads((tmp_path / "r.json").read_text())["reports"]
    assert (report["dataset"], report["documents"]) == ("set.csv", 4)
    assert "recall" not in report
    assert "| set.csv | extractive oracle |" in capsys.readouterr().out


class FakeHub:
    """Stands for ``datasets.load_dataset``: what would be asked of the hub, and what comes back."""

    def __init__(self, answer):
        self.answer, self.asked, self.read = answer, None, 0

    def __call__(self, *args, **kwargs):
        self.asked = (args, kwargs)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self._rows()

    def _rows(self):
        for row in self.answer:
            self.read += 1
            yield row


def test_a_hub_data_set_is_streamed(monkeypatch):
    datasets = pytest.importorskip("datasets")
    hub = FakeHub(ROWS)
    monkeypatch.setattr(datasets, "load_dataset", hub)
    examples = list(Source("ccdv/pubmed-summarization", config="document", split="validation").examples(2))
    assert [example.summary for example in examples] == ["Number 0.", "Number 1."]
    assert hub.asked == (("ccdv/pubmed-summarization", "document"), {"split": "validation", "streaming": True})
    assert hub.read == 2


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ConnectionError("no route"), NoNetwork, "hub be asked for it: no route"),
        (RuntimeError("Dataset scripts are no longer supported, but found x.py"), OptionError, "refs/convert/parquet"),
        (ValueError("Bad split: x"), OptionError, "cannot be read: Bad split"),
        (RuntimeError("something else"), RuntimeError, "something else"),
    ],
)
def test_what_the_hub_refuses_is_explained(monkeypatch, error, kind, message):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", FakeHub(error))
    with pytest.raises(kind, match=message):
        list(Source("someone/reports").examples(1))


WRITTEN = {
    "train.csv": "id,article,abstract\n002,2020-01-02,NA\n003,2020-01-03,1.50\n",
    "train.tsv": "id\tarticle\tabstract\n002\t2020-01-02\tNA\n003\t2020-01-03\t1.50\n",
    "train.jsonl": (
        '{"id": "002", "article": "2020-01-02", "abstract": "NA"}\n'
        '{"id": "003", "article": "2020-01-03", "abstract": "1.50"}\n'
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_made_of_the_text_of_a_hub_data_set(tmp_path, name, packed):
    """A data set of text files, as the hub keeps them: numbers, gaps and dates stay what is written there."""
    pytest.importorskip("datasets")
    data = gzip.compress(WRITTEN[name].encode()) if packed else WRITTEN[name].encode()
    (tmp_path / (name + ".gz" * packed)).write_bytes(data)
    source = Source(str(tmp_path), split="train")
    rows = list(datasets_module._hub_rows(source))
    assert [list(row.values()) for row in rows] == [["002", "2020-01-02", "NA"], ["003", "2020-01-03", "1.50"]]
    assert [example.summary for example in source.examples()] == ["NA", "1.50"]
    with pytest.raises(OptionError, match="Bad split"):
        list(Source(str(tmp_path), split="validation").examples())


def test_an_unreachable_hub_is_said_in_one_line():
    pytest.importorskip("datasets")
    with pytest.raises(LongsumError, match="someone/reports"):
        list(Source("someone/reports").examples(1))


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pytest.importorskip("datasets")
    path = tmp_path / "set.parquet"
    path.write_bytes(b"PAR1 nothing more")
    with pytest.raises(LongsumError, match=r"set\.parquet"):
        list(Source(str(path)).examples(1))


def test_parquet_without_the_extra_names_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "datasets" else find(name))
    with pytest.raises(MissingExtra, match=r"longsum-lib\[data\]"):
        list(Source("someone/reports").examples(1))


# Measures.


def test_rouge_l_and_lsum_are_two_measures():
    pytest.importorskip("rouge_score")
    reference = "The cost was high. The party was late."
    turned = "The party was late. The cost was high."
    scores = rouge([reference], [turned])
    assert scores["rougeLsum"] == 100.0
    assert scores["rougeL"] == 50.0
    from rouge_score import rouge_scorer

    theirs = rouge_scorer.RougeScorer(["rougeLsum"], use_stemmer=True)
    lines = [text.replace(". ", ".\n") for text in (reference, turned)]
    assert theirs.score(*lines)["rougeLsum"].fmeasure == pytest.approx(1.0)
    assert theirs.score(reference, turned)["rougeLsum"].fmeasure == pytest.approx(0.5)  # nothing to split at


def test_rouge_stems_words():
    pytest.importorskip("rouge_score")
    assert rouge(["surveys were costing"], ["survey were cost"])["rouge1"] == 100.0


def test_pegasus_line_ends_are_sentence_ends():
    pytest.importorskip("rouge_score")
    assert rouge(["a b\nc d"], ["c d<n>a b"])["rougeLsum"] == 100.0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One.", 1),
        ("One. Two! Three? Four", 4),
        ("It was 3.5 m, e.g. deep, vs. the other.", 1),
        ("J. R. Smith et al. Found it. It was there.", 2),
        ('"It is." "Is it?" (Yes.) No.', 4),
        ("lower. case goes on.", 1),
        ("one line\nanother line", 2),
    ],
)
def test_sentences(text, count):
    assert len(evaluation.split_sentences(text)) == count


def naive_fragments(document, summary):
    """Figure of the paper, word by word: the longest match at each word of the summary."""
    found, i = [], 0
    while i < len(summary):
        best = 0
        for j in range(len(document)):
            k = 0
            while i + k < len(summary) and j + k < len(document) and summary[i + k] == document[j + k]:
                k += 1
            best = max(best, k)
        found += [best] if best else []
        i += max(best, 1)
    return found


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=15))
def test_fragments_are_the_greedy_longest_matches(document, summary):
    assert evaluation.fragments(document, summary) == naive_fragments(document, summary)


def test_coverage_and_density_of_a_copy_and_of_a_novelty():
    copied = evaluation.describe(Texts("one two three four five", "x", "two three four"))
    assert (copied["coverage"], copied["density"], copied["novel_1"], copied["novel_3"]) == (1.0, 3.0, 0.0, 0.0)
    mixed = evaluation.describe(Texts("one two three four five", "x", "two three new five"))
    assert (mixed["coverage"], mixed["density"], mixed["novel_1"]) == (0.75, 1.25, 0.25)
    assert mixed["novel_2"] == pytest.approx(2 / 3)
    nothing = evaluation.describe(Texts("one", "x", ""))
    assert (nothing["words"], nothing["coverage"], nothing["repetition"]) == (0, None, None)


def test_numbers_are_held_against_document_and_reference():
    scores = evaluation.describe(Texts("It cost 7,606 crowns in 1900.", "7606 crowns, 1900, 12", "7606 crowns in 1901"))
    assert scores["number_precision"] == 0.5
    assert scores["number_recall"] == pytest.approx(1 / 3)


def test_the_place_of_copied_pairs():
    document = " ".join(f"w{i}" for i in range(101))  # 100 pairs, ten a tenth
    reference, summary = "w0 w1 then w95 w96 w97", "w96 w97"
    assert evaluation.pairs_by_place(Texts(document, reference, summary), 10) == [(0, 1), *[(0, 0)] * 8, (1, 2)]


def test_the_lead_and_the_oracle():
    document = "Rain fell. The cost was 7 crowns. It was late. Dr Morvik led the party of 12."
    reference = "Morvik led a party of 12. The cost was 7 crowns."
    assert evaluation.lead(document, 2) == "Rain fell.\nThe cost was 7 crowns."
    best = "The cost was 7 crowns.\nDr Morvik led the party of 12."
    assert evaluation.extractive_oracle(document, reference) == best
    assert evaluation.extractive_oracle(document, reference, sentences=1) == "The cost was 7 crowns."
    assert evaluation.extractive_oracle(document, "nothing alike") == ""


def test_the_oracle_takes_the_best_sentence_first():
    """Each greedy step must be the best of all, scored anew from the texts."""
    document = make_document(3, 1024, "test")
    sentences = evaluation.split_sentences(document.text)

    def score(text):
        tokens, wanted = evaluation.words, Counter
        total = 0.0
        for size in (1, 2):
            have = Counter()
            for line in text:
                have += wanted(evaluation.ngrams(tokens(line), size))
            reference = Counter(evaluation.ngrams(tokens(document.summary), size))
            total += 2 * (have & reference).total() / max(have.total() + reference.total(), 1)
        return total

    first = max(sentences, key=lambda sentence: score([sentence]))
    second = max((s for s in sentences if s != first), key=lambda sentence: score([first, sentence]))
    found = evaluation.extractive_oracle(document.text, document.summary, sentences=2).split("\n")
    assert set(found) == {first, second}
    whole = evaluation.extractive_oracle(document.text, document.summary).split("\n")
    assert score(whole) > score(found)


def test_intervals_hold_the_mean_and_shrink_with_more_documents():
    values = [i / 50 for i in range(50)]
    low, high = evaluation.interval_of_mean(values)
    assert low < sum(values) / 50 < high
    few = evaluation.interval_of_mean(values[::5])
    assert few[1] - few[0] > high - low
    # The standard error of the mean times 1.96, for many documents.
    spread = 1.96 * (sum((v - 0.49) ** 2 for v in values) / 50) ** 0.5 / 50**0.5
    assert high - low == pytest.approx(2 * spread, rel=0.1)
    assert evaluation.interval_of_mean([0.5]) is None
    assert evaluation.interval_of_ratio([(0, 0), (0, 0)]) is None
    assert evaluation.interval_of_ratio([(1, 2), (1, 2), (2, 4)]) == [0.5, 0.5]


CHECKPOINT = DATA.parent / "checkpoints" / "led-tiny"


def test_the_bundled_model_summarizes_documents_that_it_has_not_seen():
    from longsum_lib import load, load_tokenizer

    documents = [make_document(seed, 1024, "test") for seed in range(100, 108)]
    model, tokenizer = load("led-tiny"), load_tokenizer("led-tiny")
    summaries = generate_summaries(model, tokenizer, [d.text for d in documents], batch_size=8)
    scores = score_facts(documents, [summary.text for summary in summaries])
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
