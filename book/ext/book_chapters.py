"""Sphinx extension: the directive `chapters`, the book's parts and chapters as `_toc.yml` has them.

    ```{chapters}
    Foundations: What the part is about, in a sentence or two.
    Mechanisms: ...
    ```

Each line names a part by its caption; the sentence may be missing. Its chapters follow as links with their own titles,
so that the list is never behind the contents. "Next" and "Previous" lead past the solutions.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = ("book/solutions", "notebooks/solutions/")


def parts(contents: str) -> dict[str, list[str]]:
    """Return the documents of every part of a table of contents, by the part's caption."""
    found = {}
    for part in yaml.safe_load(contents)["parts"]:
        inside = [section for entry in part["chapters"] for section in entry.get("sections", ())]
        # A part that is one entry stands for what is below it.
        chapters = inside if len(part["chapters"]) == 1 else part["chapters"]
        found[part["caption"]] = [entry["file"] for entry in chapters]
    return found


def past_solutions(app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Let "Next" and "Previous" of all other pages lead past the solutions."""
    if pagename.startswith(SOLUTIONS) or app.builder.name == "epub":
        return
    order = [name for name in app.env.collect_relations() if not name.startswith(SOLUTIONS)]
    if pagename not in order:
        return
    place = order.index(pagename)
    neighbours = {"prev": order[place - 1] if place else None, "next": (order[place + 1 :] or [None])[0]}
    for side, name in neighbours.items():
        if context.get(side) and name:
            link = app.builder.get_relative_uri(pagename, name)
            context[side] = {"link": link, "title": app.builder.render_partial(app.env.titles[name])["title"]}


class Chapters(SphinxDirective):
    """A paragraph and a list of links for each part that the content names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Build the paragraphs and lists."""
        contents = ROOT / "_toc.yml"
        self.env.note_dependency(str(contents))
        known = parts(contents.read_text(encoding="utf-8"))
        found: list[nodes.Node] = []
        for line in "\n".join(self.content).split("\n"):
            if not line.strip():
                continue
            caption, _, sentence = line.partition(":")
            if caption not in known:
                raise self.error(f"chapters: no part {caption!r} in _toc.yml; it has: {', '.join(known)}")
            found += [
                *([nodes.paragraph("", "", *_words(caption, sentence.strip()))] if sentence.strip() else []),
                nodes.bullet_list("", *(nodes.list_item("", self.link(name)) for name in known[caption])),
            ]
        return found

    def link(self, name: str) -> nodes.paragraph:
        """A link to a page that shows the page's title."""
        reference = addnodes.pending_xref(
            "",
            nodes.inline(text=name),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{name}",
            refexplicit=False,
            refdoc=self.env.docname,
            refwarn=True,
        )
        return nodes.paragraph("", "", reference)


def _words(caption: str, sentence: str) -> list[nodes.Node]:
    return [nodes.strong(text=caption + "."), nodes.Text(" " + sentence)]


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("chapters", Chapters)
    app.connect("html-page-context", past_solutions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
