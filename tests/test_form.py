"""The task that only the encoder's pattern can solve: documents, models, and what its stored runs bear out."""

import json

import pytest
import torch

from benchmarks import form
from benchmarks.form_task import FIRST_FACT, FIRST_ITEM, FORM, ITEMS, VALUES, FormReader, Pattern, make_batch
from longsum_lib.viz.results import load_results

SHORT = form.RECIPE | {"steps": 6, "read_every": 3, "lengths": [24, 32], "near": 20, "test_documents": {"32": 4}}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_item_has_one_fact_behind_the_form():
    batch = make_batch(5, 40, generator())
    for row in range(5):
        document = batch["documents"][row]
        assert sorted(document[1:FORM].tolist()) == list(range(FIRST_ITEM, FIRST_ITEM + ITEMS))
        assert (document >= FIRST_FACT).sum() == ITEMS
        for asked, value, place in zip(*(batch[key][row] for key in ("asked", "values", "places")), strict=True):
            assert place >= FORM
            assert document[place] == FIRST_FACT + (asked - FIRST_ITEM) * VALUES + value


def answers_that_change(pattern, form_only, place):
    """Whether another symbol at a place changes any answer."""
    torch.manual_seed(0)
    reader = FormReader(pattern, form_only).double().eval()
    batch = make_batch(1, 200, generator())
    changed = batch["documents"].clone()
    changed[0, place] = FIRST_FACT + (changed[0, place] - FIRST_FACT + 1) % (ITEMS * VALUES)
    with torch.no_grad():
        before, after = (reader(documents, batch["asked"]) for documents in (batch["documents"], changed))
    return not torch.equal(before, after)


@pytest.mark.parametrize("name", [*form.PATTERNS, *form.DEPTHS])
def test_only_a_far_part_brings_far_facts_to_the_form(name):
    pattern = (form.PATTERNS | form.DEPTHS)[name]
    far = bool(pattern.parts & {"first", "form", "globals", "sums"})
    assert answers_that_change(pattern, form_only=True, place=199) == far
    assert answers_that_change(pattern, form_only=False, place=199)
    assert answers_that_change(pattern, form_only=True, place=12)


def test_a_window_reaches_as_far_as_its_layers_together():
    pattern = Pattern("led", layers=2, window=8)
    assert answers_that_change(pattern, form_only=True, place=FORM - 1 + 16)
    assert not answers_that_change(pattern, form_only=True, place=FORM - 1 + 17)


def test_a_run_counts_every_fact_of_its_test_documents_and_repeats_itself():
    first, second = (form.train("led, window", form.PATTERNS["led, window"], True, 1, recipe=SHORT) for _ in range(2))
    assert sum(total for _, total in first["by_distance"]["32"]) == 4 * ITEMS
    assert {key: first[key] for key in first if key != "seconds"} == {
        key: second[key] for key in second if key != "seconds"
    }


def test_an_interrupted_grid_goes_on_and_refuses_other_settings(tmp_path, monkeypatch):
    trained = []

    def train(name, pattern, form_only, seed):
        trained.append((name, form_only, seed))
        counted = {"64": [[1, 2]]}
        return {"pattern": name, "form_only": form_only, "seed": seed, "steps": 1, "loss": 0.0, "seconds": 0.0,
                "by_distance": counted}  # fmt: skip

    monkeypatch.setattr(form, "train", train)
    path = tmp_path / "form.json"
    form.main(["--seeds", "1", "--output", str(path)])
    assert len(trained) == len(set(trained)) == 2 * len(form.PATTERNS) + len(form.DEPTHS)
    stored = json.loads(path.read_text())
    del stored["runs"][3:5]
    path.write_text(json.dumps(stored))
    trained.clear()
    form.main(["--seeds", "1", "--output", str(path)])
    assert len(trained) == 2
    stored["settings"]["steps"] = 7
    path.write_text(json.dumps(stored))
    with pytest.raises(SystemExit, match="other settings"):
        form.main(["--output", str(path)])


# --- what chapter 19 says of the stored runs ------------------------------------------------------


def mean(name, test, form_only=True):
    """Share of right facts over all seeds."""
    runs = load_results("form").rows("runs", pattern=name, form_only=form_only)
    return sum(form.share(run["by_distance"][test]) for run in runs) / len(runs)


def test_the_stored_runs_are_whole():
    stored = load_results("form")
    assert stored.content["settings"] == json.loads(json.dumps(form.settings()))
    seeds = {}
    for run in stored.rows("runs"):
        seeds.setdefault((run["pattern"], run["form_only"]), set()).add(run["seed"])
    assert set(seeds) == {(name, form_only) for name, _, form_only, _ in form.cells(1)}
    assert {tuple(sorted(each)) for each in seeds.values()} == {tuple(range(form.SEEDS))}


def test_every_control_learned_the_task():
    for name in form.PATTERNS:
        assert mean(name, "2048", form_only=False) > 0.97


def test_reach_and_capacity_decide_as_chapter_19_says():
    guess = 1 / VALUES
    for name in ("led, window", "pegasus-x, staggered", "longt5, window"):
        assert mean(name, "2048") < guess + 0.05
    for name in ("led, form global", "pegasus-x, globals", "pegasus-x, staggered and globals"):
        assert mean(name, "2048") > 0.95
    for name in ("led, first token global", "lsg, global"):
        assert guess + 0.1 < mean(name, "2048") < 0.7
    assert mean("lsg, sparse", "64") > 0.95
    assert mean("lsg, sparse", "2048") < guess + 0.15
    assert mean("longt5, sums", "64") < mean("longt5, sums", "2048") - 0.05
    assert mean("longt5, sums", "2048") > 0.8


def test_the_same_reach_is_found_less_in_more_steps():
    near = {
        name: sum(
            form.share(run["by_distance"]["64"][:2])
            for run in load_results("form").rows("runs", pattern=name, form_only=True)
        )
        for name in ("led, 1 x ±16", "led, window", "led, 4 x ±4")
    }
    assert near["led, 1 x ±16"] > near["led, window"] > near["led, 4 x ±4"]
    assert near["led, 4 x ±4"] / form.SEEDS < 1 / VALUES + 0.06
