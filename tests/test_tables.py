"""Tables of the notebooks: the same cells as HTML, as text and as CSV."""

import csv
import io
from html.parser import HTMLParser

import pytest

from longsum_lib import viz

ROWS = [["LED", 16384, 2.171, True], ["a <b> & c, d", 7, None, False]]
HEADER = ["model", "tokens", "seconds", "padded"]


class Cells(HTMLParser):
    """Collects the text of every cell, and the scopes of its headers."""

    def __init__(self):
        super().__init__()
        self.found, self.scopes, self.inside = [], [], False

    def handle_starttag(self, tag, attrs):
        self.inside = tag in ("td", "th")
        if self.inside:
            self.found.append("")
            self.scopes.append(dict(attrs).get("scope"))

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


def test_html_and_csv_hold_the_same_cells_as_the_text():
    table = viz.table(HEADER, ROWS)
    cells = [*HEADER, "LED", "16,384", "2.17", "yes", "a <b> & c, d", "7", "–", "no"]
    read = Cells()
    read.feed(table._repr_html_())
    assert read.found == cells
    assert read.scopes == ["col"] * 4 + ["row", None, None, None] * 2
    assert [cell for row in csv.reader(io.StringIO(table.to_csv())) for cell in row] == cells
    assert all(cell in str(table) for cell in cells)


def test_numbers_stand_at_the_right_in_text_and_html():
    table = viz.table(HEADER, ROWS)
    assert table.right == (False, True, True, False)
    lines = str(table).splitlines()
    assert len({line.index(end) + len(end) for line, end in zip(lines[2:], ("16,384", "  7"), strict=True)}) == 1
    assert table._repr_html_().count("text-align:right") == 2 * 3


def test_a_caption_stands_above_and_is_escaped():
    table = viz.table(["a"], [[0.5]], digits=1, caption="1 < 2")
    assert str(table).startswith("1 < 2\n\n")
    assert "<caption>1 &lt; 2</caption>" in table._repr_html_()


@pytest.mark.parametrize(
    ("header", "rows", "digits", "words"),
    [
        ([], [], 2, "no columns"),
        (["a", "b"], [[1, 2], [1]], 2, "row 1 has 1 cells, expected 2"),
        (["a", "b"], [[1, 2]], [1, 2, 3], "digits has 3 entries, expected 2"),
    ],
)
def test_what_does_not_fit_is_named(header, rows, digits, words):
    with pytest.raises(ValueError, match=words):
        viz.table(header, rows, digits=digits)
