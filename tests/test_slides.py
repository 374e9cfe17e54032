"""The lectures: built from the notebooks, whole, and with nothing that a lecture room's network would have to bring."""

import re
from html.parser import HTMLParser

import pytest

from tools import slides


@pytest.fixture(scope="module", params=range(1, len(slides.LECTURES) + 1))
def page(request):
    return request.param, slides.lecture(request.param)


class Balanced(HTMLParser):
    """Fails on a tag that is closed before it was opened, or never."""

    EMPTY = frozenset({"meta", "img", "br", "hr"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_lecture_shows_every_figure_summary_and_question_of_its_chapters(page):
    number, html = page
    for chapter in slides.LECTURES[number - 1][1]:
        text = slides.chapter(chapter).read_text(encoding="utf-8")
        for alt in re.findall(r'"image": \{\s*"alt": "([^"]+)"', text):
            assert slides.html.escape(alt.encode().decode("unicode_escape") if "\\" in alt else alt, quote=True) in html
    assert html.count(": summary</h2>") == html.count(": exercises</h2>") == len(slides.LECTURES[number - 1][1])


def test_a_lecture_is_well_formed_and_loads_nothing(page):
    reader = Balanced()
    reader.feed(page[1])
    assert not reader.open
    assert not re.findall(r'(?:src|href)="(?!data:|https?://)[^"]*"', page[1])
    assert not re.findall(r'src="http', page[1])
    assert "FORMULA" not in page[1]


def test_the_lectures_are_those_of_the_page():
    text = (slides.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    for number, (title, chapters) in enumerate(slides.LECTURES, 1):
        (row,) = re.findall(rf"^\| {number}\. {re.escape(title)} \| (.+?) \|", text, re.MULTILINE)
        assert tuple(int(found) for found in re.findall(r"\[(\d+)\]", row)) == chapters


def test_every_problem_of_the_sets_is_an_exercise_of_its_chapter():
    text = (slides.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    for number, which in re.findall(r"chapter (\d+), exercises? ([\d and]+)", text):
        chapter = slides.chapter(int(number)).read_text(encoding="utf-8")
        for exercise in re.findall(r"\d", which):
            assert re.search(rf'"{exercise}\. \*\*\(', chapter)


def test_points_of_each_set_add_up_to_twenty():
    text = (slides.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    sets = re.split(r"^### Set", text, flags=re.MULTILINE)[1:]
    sets[-1] = sets[-1].partition("## Syllabus")[0]
    assert [sum(int(points) for points in re.findall(r"^\|[^|]+\| (\d+) \|", part, re.MULTILINE)) for part in sets] == [
        20,
        20,
        20,
    ]
