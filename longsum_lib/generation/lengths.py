"""Lengths of very long texts in tokens, without the tokens: counted piece by piece, no further than needed.

A tokenizer needs some 130 bytes of memory a character and seconds a megabyte, and most long texts only have to be found
too long for a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

LARGE = 1 << 20
"""Characters above which a text is counted in pieces; shorter ones are counted at once, to the token."""

PIECE = 1 << 15
_WORD = 1 << 10  # a piece ends at the last white space of its last characters, if they have any

Count = Callable[[str], int]
"""Counts the tokens of a text, without the special ones."""


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that end at white space where there is any.

    Example:
        >>> "".join(pieces("ab " * 20_000)) == "ab " * 20_000
        True
    """
    start = 0
    while start < len(text):
        end = min(start + PIECE, len(text))
        if end < len(text):
            blank = max(text.rfind(" ", end - _WORD, end), text.rfind("\n", end - _WORD, end))
            end = blank if blank > start else end
        yield text[start:end]
        start = end


def count_by_pieces(text: str, count: Count) -> int:
    """Count the tokens of a text; where a word is cut, it may have a token more or less than in the whole.

    Cost:
        Memory for one piece.
    """
    return sum(map(count, pieces(text)))


def tokens_at_least(text: str, count: Count, enough: int) -> int:
    """Count the tokens of a text until there are more than ``enough``.

    Returns:
        The tokens of as many pieces as it took: all of them if the text has no more.

    Example:
        >>> tokens_at_least("one two " * 100_000, lambda piece: len(piece.split()), 1_000) < 20_000
        True
    """
    total = 0
    for piece in pieces(text):
        total += count(piece)
        if total > enough:
            break
    return total


def beginning(text: str, count: Count, enough: int) -> str:
    """Return the first pieces of a text, as many as it takes for more than ``enough`` tokens.

    Example:
        >>> len(beginning("one two " * 100_000, lambda piece: len(piece.split()), 10)) < 100_000
        True
    """
    total = taken = 0
    for piece in pieces(text):
        taken += len(piece)
        total += count(piece)
        if total > enough:
            break
    return text[:taken]
