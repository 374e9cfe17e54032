"""The figures of the book are compared by what they draw: every kind of change is seen, the last digits are not."""

import json
from pathlib import Path

import numpy as np
import pytest

from longsum_lib import viz
from longsum_lib.viz import drawn

WORDS = {"alt": "A test.", "caption": "A test."}
CELLS = np.arange(12.0).reshape(3, 4)


def everything(**changes) -> object:
    """A figure with one of each kind of artist; a keyword changes one thing that is drawn."""
    given = {
        "y": 2.0,
        "bar": 3.0,
        "cell": 5.0,
        "point": 1.0,
        "filled": 0.5,
        "label": "tokens",
        "tick": "a",
        "text": "note",
        "at": 0.25,
        "entry": "window",
        "colour": "#0072b2",
        "scale": "linear",
        "limit": 4.0,
        "title": "cost",
        "hatch": "//",
    } | changes
    figure, axes = viz.new_figure(1, 2)
    left, right = axes
    left.plot([1, 2, 3], [1, given["y"], 3], color=given["colour"], label=given["entry"])
    left.bar([0, 1], [1, given["bar"]], hatch=given["hatch"])
    left.scatter([0, 1], [given["point"], 2])
    left.fill_between([0, 1], [0, given["filled"]])
    left.set(xlabel=given["label"], yscale=given["scale"], xlim=(0, given["limit"]), title=given["title"])
    left.text(given["at"], 1, given["text"])
    left.legend()
    cells = CELLS.copy()
    cells[1, 1] = given["cell"]
    right.imshow(cells)
    right.set_xticks([0], [given["tick"]])
    figure.canvas.draw()
    return figure


CHANGES = {
    "y": 2.001,
    "bar": 3.01,
    "cell": 5.01,
    "point": 1.01,
    "filled": 0.51,
    "label": "words",
    "tick": "b",
    "text": "other",
    "at": 0.3,
    "entry": "full",
    "colour": "#0072b3",
    "scale": "symlog",
    "limit": 5.0,
    "title": "time",
    "hatch": "xx",
}


def recorded(figure) -> dict:
    return json.loads(json.dumps(drawn.description(figure)))


def test_what_was_trained_may_end_a_little_elsewhere():
    old, new = recorded(everything()), recorded(everything(y=2.1))
    assert drawn.difference(old, new, within=0.05)
    assert drawn.difference(old, new, within=0.15) == ""
    assert drawn.difference(old, recorded(everything(label=CHANGES["label"])), within=9.0)


def test_the_same_figure_twice_is_the_same():
    assert drawn.difference(recorded(everything()), recorded(everything())) == ""


@pytest.mark.parametrize("what", CHANGES)
def test_one_changed_thing_is_seen(what):
    change = drawn.difference(recorded(everything()), recorded(everything(**{what: CHANGES[what]})))
    assert "recorded" in change


def test_the_last_digits_are_not_seen():
    assert drawn.difference(recorded(everything()), recorded(everything(y=2.0 * (1 + 1e-5), cell=5.00001))) == ""


def test_one_pair_of_a_pattern_is_seen():
    kinds = viz.sliding_window_kinds(48, window=4)
    changed = kinds.copy()
    changed[40, 2] = 1
    one, other = (viz.draw_mask(each).figure for each in (kinds, changed))
    for figure in (one, other):
        figure.canvas.draw()
    assert "recorded" in drawn.difference(recorded(one), recorded(other))
    assert len(json.dumps(recorded(one))) < 20_000  # runs, not 2,304 numbers


def test_long_lists_with_few_values_are_runs():
    assert drawn.numbers([0] * 70 + [1] * 30) == ["runs", 0.0, 70, 1.0, 30]
    assert drawn.numbers([1, float("nan")]) == [1.0, "nan"]
    assert drawn.numbers(["512", "1,024"]) == ["512", "1,024"]


def test_show_writes_compares_and_refuses(monkeypatch, tmp_path):
    monkeypatch.setenv(drawn.FOLDER, str(tmp_path))
    with pytest.raises(ValueError, match=r"fig-x has no record in .*: look at the picture, then run make figures"):
        viz.show(everything(), name="fig-x", **WORDS)
    with pytest.raises(ValueError, match="needs a name"):
        viz.show(everything(), **WORDS)
    monkeypatch.setenv(drawn.WRITE, "1")
    viz.show(everything(), name="fig-x", **WORDS)
    monkeypatch.delenv(drawn.WRITE)
    viz.show(everything(), name="fig-x", **WORDS)
    message = r"fig-x draws something else: axes 0 lines 0 y 1 is 2.5 where 2 is recorded. If that is meant, run make"
    with pytest.raises(ValueError, match=message):
        viz.show(everything(y=2.5), name="fig-x", **WORDS)


def test_show_compares_nothing_for_readers(monkeypatch):
    monkeypatch.delenv(drawn.FOLDER, raising=False)
    viz.show(everything(), **WORDS)


def test_stored_records_are_of_figures_and_complete():
    root = Path(__file__).resolve().parents[1] / "notebooks"
    records = {file.stem for file in (root / "figures").glob("*.json")}
    shown = set()
    for notebook in [*root.glob("*.ipynb"), *root.glob("solutions/*.ipynb")]:
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    shown.add(output["metadata"]["longsum"]["name"])
    assert shown == records, "run make figures and look at the pictures"
