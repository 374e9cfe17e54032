"""The text of a document, with what a summary's sources need to know: where its pages begin."""

from __future__ import annotations

import bisect
import dataclasses


@dataclasses.dataclass(frozen=True)
class DocumentText:
    r"""A document's plain text.

    Args:
        text: The text; paragraphs are separated by blank lines.
        page_starts: Offset of the first character of each page in ``text``, ascending; empty if the format
            has no pages.
        name: What to call the document in messages and sources, such as a file's name.
        format: Where the text came from: ``"text"``, ``"pdf"``, ``"docx"``, ``"html"``, ``"epub"``,
            ``"markdown"``, ``"srt"`` or ``"vtt"``.
        invisible: How many invisible characters (soft hyphens, zero-width marks) the document had and the text has
            not.

    Raises:
        ValueError: if the pages do not begin in ascending order inside the text.

    Example:
        >>> DocumentText.from_text("First page.\fSecond page.").page(14)
        2
    """

    text: str
    page_starts: tuple[int, ...] = ()
    name: str = ""
    format: str = "text"
    invisible: int = 0

    def __post_init__(self) -> None:
        starts = self.page_starts
        inside = all(0 <= start <= len(self.text) for start in starts)
        if not inside or list(starts) != sorted(starts):
            raise ValueError(f"page_starts is {starts!r}, expected ascending offsets in a text of {len(self.text):,}")

    @classmethod
    def from_text(cls, text: str, name: str = "") -> DocumentText:
        """Take a plain text; form feeds, where it has any, begin new pages."""
        starts = [0, *(i + 1 for i, letter in enumerate(text) if letter == "\f")] if "\f" in text else []
        return cls(text, tuple(starts), name)

    def page(self, offset: int) -> int | None:
        """Return the page, counted from 1, of the character at ``offset``; None without pages."""
        if not self.page_starts:
            return None
        return max(1, bisect.bisect_right(self.page_starts, offset))
