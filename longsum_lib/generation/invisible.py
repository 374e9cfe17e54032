"""Characters that nobody sees and that cut words for a tokenizer: soft hyphens, zero-width marks.

They come with text from PDFs and web pages. A word with one inside is no word that a model knows: with soft hyphens, a
bundled model's summary has a third of the facts, with zero-width spaces an eighth. Where a script is spelled with them
(Persian, Hindi, Khmer, emoji) they stay.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALWAYS = "\u00ad\u2060\ufeff\u202a-\u202e\u2066-\u2069"  # soft hyphen, word joiner, byte-order mark, embeddings
_JOINERS = "\u200c\u200d"
# Arabic, Syriac, N'Ko; the scripts of India and around; Myanmar, Mongolian, Khmer, Tibetan, Balinese … Meetei.
_JOINED = (
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua840-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff"
)
# Emoji and what belongs to one: variation selectors, skin tones, signs.
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
_WITHOUT_BLANKS = "\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff"  # Thai, Lao, Tibetan, Myanmar, Khmer, Tai: words end there
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"

_INVISIBLE = re.compile(
    rf"[{_ALWAYS}]"
    rf"|(?<![{_JOINED}{_EMOJI}])[{_JOINERS}]|[{_JOINERS}](?![{_JOINED}{_EMOJI}])"
    rf"|(?<![{_WITHOUT_BLANKS}])\u200b|\u200b(?![{_WITHOUT_BLANKS}])"
    rf"|(?<![{_RIGHT_TO_LEFT}])[\u200e\u200f]|[\u200e\u200f](?![{_RIGHT_TO_LEFT}])"
)
_ANY = re.compile(rf"[{_ALWAYS}\u200b-\u200f]")
_SOFT_LINE_END = re.compile("\u00ad[ \t]*\n[ \t]*")
_counted: ContextVar[list[int] | None] = ContextVar("_counted", default=None)


def remove_invisible(text: str) -> tuple[str, int]:
    r"""Remove what cannot be seen and cuts words, and put words together that a soft hyphen cuts at a line end.

    Args:
        text: Any text.

    Returns:
        The text, and how many characters were removed.

    Cost:
        One pass over the characters; a text without such characters comes back as it is.

    Example:
        >>> remove_invisible("a docu\u00adment")
        ('a document', 1)
        >>> remove_invisible("\u0645\u06cc\u200c\u0631\u0648\u0645")[1]  # Persian is spelled with it
        0
    """
    if _ANY.search(text) is None:
        return text, 0
    text, ends = _SOFT_LINE_END.subn("", text)
    text, inside = _INVISIBLE.subn("", text)
    counts = _counted.get()
    if counts is not None:
        counts.append(ends + inside)
    return text, ends + inside


@contextmanager
def counting() -> Iterator[list[int]]:
    """Collect how many characters are removed in the block, one number for each text that had some."""
    counts: list[int] = []
    token = _counted.set(counts)
    try:
        yield counts
    finally:
        _counted.reset(token)
