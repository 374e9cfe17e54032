"""DOCX: Word documents, read from their XML.

A word processor stores paragraphs, not pages; Word also notes where its pages began when it last showed the document,
and where a file has these notes they are kept.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from typing import Any

from longsum_lib.errors import DocumentError
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.documents.archives import local_name, open_archive, parse_xml, read_entry
from longsum_lib.generation.documents.letters import visible

# Deleted and moved text, codes of fields, and the older of two ways in which the same box is stored.
_SKIPPED = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "rPr", "pPr", "tblPr", "sectPr"))
_SPACES = re.compile(r"[ \t\u00a0]+")
_PAGE = "\f"  # no XML holds one
# Text of a cell that is so long is laid out in a table and no entry of one.
_LONG_CELL = 400


def read_docx(data: bytes, name: str) -> DocumentText:
    """Read the text of a Word document: paragraphs, lists, tables, text boxes, footnotes.

    A footnote follows the paragraph that refers to it; a row of a table is a paragraph with tabs between its cells.
    Running heads, comments, deleted and hidden text and the table of contents are left out.

    Args:
        data: The file's bytes.
        name: What to call it in messages.

    Returns:
        The text; with pages if Word noted them.

    Raises:
        DocumentError: It is damaged, empty, or unpacks to too much.
        MissingExtra: defusedxml is not installed.

    Cost:
        Time and memory O(bytes unpacked); about 2 ms a page.
    """
    archive = open_archive(data, name)
    main = _main_part(archive, name)
    notes = {
        (kind, identifier): "\n\n".join(blocks)
        for kind in ("footnote", "endnote")
        for identifier, blocks in _notes(archive, main, kind, name)
    }
    blocks = _blocks(parse_xml(read_entry(archive, main, name), name, main), notes)
    marked = "\n\n".join(block for block in blocks if block.strip(_PAGE))
    text, starts = _without_marks(marked)
    if not text:
        raise DocumentError(f"{name} is a Word document without text (perhaps it holds pictures only)")
    return DocumentText(text, starts, name, "docx")


def _main_part(archive: zipfile.ZipFile, name: str) -> str:
    if "_rels/.rels" in archive.namelist():
        for element in parse_xml(read_entry(archive, "_rels/.rels", name), name, "_rels/.rels").iter():
            if (element.get("Type") or "").endswith("/officeDocument"):
                return posixpath.normpath((element.get("Target") or "").lstrip("/"))
    return "word/document.xml"


def _notes(archive: zipfile.ZipFile, main: str, kind: str, name: str) -> list[tuple[str, list[str]]]:
    """Identifier and paragraphs of every footnote or endnote."""
    entry = posixpath.join(posixpath.dirname(main), f"{kind}s.xml")
    if entry not in archive.namelist():
        return []
    notes = [
        element for element in parse_xml(read_entry(archive, entry, name), name, entry) if local_name(element) == kind
    ]
    return [(_value(note, "id"), _blocks(note, {})) for note in notes if not _value(note, "type")]


def _value(element: Any, attribute: str) -> str:
    """An attribute by its name without a namespace."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == attribute), "")


class _Writer:
    """Collects paragraphs; inside a table those of a cell, and the cells of a row."""

    def __init__(self, notes: dict[tuple[str, str], str]) -> None:
        self.notes = notes
        self.containers: list[list[Any]] = [[]]  # blocks; of a row, its cells, each a list of blocks
        self.paragraphs: list[list[str]] = []
        self.waiting: list[str] = []

    def enter(self, element: Any, tag: str) -> None:
        if tag == "p":
            self.paragraphs.append([])
        elif tag in ("tr", "tc"):
            self.containers.append([])
        elif tag == "lastRenderedPageBreak":
            self.write(_PAGE)
        elif tag in ("footnoteReference", "endnoteReference"):
            note = self.notes.get((tag.removesuffix("Reference"), _value(element, "id")))
            self.waiting += [note] if note else []
        elif tag == "t":
            self.write(element.text or "")
        elif tag in ("br", "cr"):
            self.write("\n" if _value(element, "type") in ("", "textWrapping") else " ")
        elif tag in ("tab", "noBreakHyphen"):
            self.write(" " if tag == "tab" else "-")

    def write(self, text: str) -> None:
        if self.paragraphs:
            self.paragraphs[-1].append(text)

    def leave(self, tag: str) -> None:
        if tag == "p":
            lines = visible("".join(self.paragraphs.pop())).split("\n")
            self.containers[-1].append("\n".join(_SPACES.sub(" ", line).strip(" ") for line in lines).strip("\n"))
        elif tag == "tc":
            cell = [block for block in self.containers.pop() if block]
            self.containers[-1].append(cell)
        elif tag == "tr":
            cells = self.containers.pop()
            self.containers[-1] += _row(cells)
        if len(self.containers) == 1 and tag in ("p", "tr") and not self.paragraphs:
            self.containers[0] += self.waiting
            self.waiting = []


def _row(cells: list[list[str]]) -> list[str]:
    """A row as one paragraph; as several if the table only serves to lay out text."""
    if len(cells) == 1 or any(len(cell) > 2 or sum(map(len, cell)) > _LONG_CELL for cell in cells):
        return [block for cell in cells for block in cell]
    return ["\t".join(" ".join(cell) for cell in cells)]


def _blocks(root: Any, notes: dict[tuple[str, str], str]) -> list[str]:
    """Walk the XML without recursion, so that deep nesting does no harm."""
    writer = _Writer(notes)
    stack = [(root, False)]
    while stack:
        element, leaving = stack.pop()
        tag = local_name(element)
        if leaving:
            writer.leave(tag)
        elif tag not in _SKIPPED and not _is_hidden(element, tag):
            writer.enter(element, tag)
            if tag in ("p", "tr", "tc"):
                stack.append((element, True))
            stack.extend((child, False) for child in reversed(element))
    return writer.containers[0]


def _is_hidden(element: Any, tag: str) -> bool:
    if tag == "r":
        properties = next((child for child in element if local_name(child) == "rPr"), ())
        return any(local_name(child) == "vanish" and _value(child, "val") not in ("0", "false") for child in properties)
    if tag == "sdt":  # the table of contents, as Word makes it
        properties = next((child for child in element if local_name(child) == "sdtPr"), None)
        galleries = () if properties is None else properties.iter()
        return any(local_name(e) == "docPartGallery" and _value(e, "val") == "Table of Contents" for e in galleries)
    return False


def _without_marks(marked: str) -> tuple[str, tuple[int, ...]]:
    """Take the page marks out; return the text and the offset at which each page begins."""
    pages = marked.split(_PAGE)
    if len(pages) == 1:
        return marked.strip(), ()
    text, starts = pages[0].lstrip(), [0]
    for page in pages[1:]:
        # The page begins with its first letter, not with the blank line before it.
        blank = len(page) - len(page.lstrip())
        starts.append(len(text) + blank)
        text += page
    text = text.rstrip()
    return text, tuple(min(start, len(text)) for start in starts)
