"""What a built page holds, read without a browser: links, anchors, pictures, head."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Of <link>, only these make a browser load something.
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "manifest"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Page:
    """One page of the site.

    Attributes:
        path: Path from the site's root, with forward slashes.
        links: Targets of `<a href>`, with the text inside.
        resources: What a browser loads for the page: scripts, styles, pictures, frames.
        images: `(src, alt)` of every picture; `alt` is None where there is none.
        ids: Every id, in order.
        meta: Content of the named and property meta elements.
        headings: Texts of the first-level headings.
        text: All visible text.
    """

    path: str
    file: Path
    title: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    images: list[tuple[str, str | None]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    headings: list[str] = field(default_factory=list)
    text: str = ""
    refresh: bool = False

    def resolve(self, link: str) -> tuple[Path, str] | None:
        """File and anchor that a link of this page leads to; None for a link that leaves the site."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        target, anchor = urldefrag(link)
        target = target.split("?")[0]
        file = (self.file.parent / unquote(target)).resolve() if target else self.file
        return file, unquote(anchor)


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        page = self.page
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            page.ids.append(values["id"])
        if tag == "a" and values.get("href"):
            page.links.append((values["href"], ""))
        elif tag == "meta":
            name = values.get("name") or values.get("property")
            if name:
                page.meta[name] = values.get("content") or ""
            page.refresh |= values.get("http-equiv") == "refresh"
        elif tag == "img":
            page.images.append((values.get("src") or "", values.get("alt")))
        elif tag == "link" and LOADED_RELATIONS & set((values.get("rel") or "").split()):
            page.resources.append(values.get("href") or "")
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object"):
            source = values.get("src") or values.get("data")
            if source:
                page.resources.append(source)
        if tag == "h1":
            page.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "title" in self.open and "head" in self.open:
            self.page.title += data
        if "script" in self.open or "style" in self.open or "head" in self.open:
            return
        self.page.text += data
        if "a" in self.open and self.page.links:
            href, text = self.page.links[-1]
            self.page.links[-1] = (href, text + data)
        if "h1" in self.open:
            self.page.headings[-1] += data


def read_page(file: Path, root: Path) -> Page:
    """Read one page."""
    page = Page(file.relative_to(root).as_posix(), file.resolve())
    _Reader(page).feed(file.read_text(encoding="utf-8"))
    return page


def read_site(root: Path) -> dict[str, Page]:
    """Read every page of a built site, without the theme's own files."""
    files = sorted(file for file in root.rglob("*.html") if "_static" not in file.relative_to(root).parts)
    return {page.path: page for page in (read_page(file, root) for file in files)}
