"""Cut a long text into parts of a bounded number of tokens, at paragraph or sentence boundaries."""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence

from longsum_lib.errors import OptionError
from longsum_lib.generation.sentences import sentence_spans

CountTokens = Callable[[Sequence[str]], list[int]]
"""Counts the tokens of each of several texts, special tokens included."""


def _ends_of(pattern: str) -> Callable[[str], Iterator[int]]:
    compiled = re.compile(pattern)
    return lambda text: (match.end() for match in compiled.finditer(text))


def _sentence_ends(text: str) -> Iterator[int]:
    """Where the next sentence begins, so that the white space between two stays with the first."""
    return (start for start, _ in itertools.islice(sentence_spans(text), 1, None))


# Coarse to fine: what is too long between blank lines is cut into lines, then sentences, words, halves.
_BOUNDARIES = (_ends_of(r"\n\s*\n+"), _ends_of(r"\n+"), _sentence_ends, _ends_of(r"\s+"))


def split_text(text: str, limit: int, count_tokens: CountTokens) -> list[str]:
    r"""Cut a text into a few parts of about equal length, each of at most ``limit`` tokens.

    Joined again, the parts are the text but for white space at the cuts. A cut is made between paragraphs;
    inside a paragraph only if it is longer than ``limit`` by itself, then between sentences, and so on.

    Args:
        text: Any text.
        limit: The most tokens of a part, special tokens included.
        count_tokens: Counts tokens, special tokens included.

    Returns:
        The parts, in order, none of them blank.

    Raises:
        OptionError: ``limit`` leaves no room for any text.

    Cost:
        Each token is counted about three times.

    Example:
        >>> words = lambda texts: [len(text.split()) for text in texts]
        >>> split_text("One two. Three four.\n\nFive six.", 4, words)
        ['One two. Three four.', 'Five six.']
    """
    (overhead,) = count_tokens([""])
    if limit <= overhead:
        raise OptionError(f"a part of {limit} tokens has no room for text beside {overhead} special tokens")
    pieces = _pieces(text, limit, count_tokens, 0)
    sizes = [count - overhead for count in count_tokens([piece.strip() for piece in pieces])]
    return _pack(pieces, sizes, limit, overhead, count_tokens)


def _pieces(text: str, limit: int, count_tokens: CountTokens, level: int) -> list[str]:
    """Cut a text at one kind of boundary, and cut what is still too long at the next finer one.

    Each piece keeps the white space that follows it, so that joining the pieces gives the text back.
    """
    if level == len(_BOUNDARIES):
        if len(text) < 2:
            raise OptionError(f"a part of {limit} tokens is too short for the character {text!r}")
        pieces = [text[: len(text) // 2], text[len(text) // 2 :]]
        pieces = [piece for piece in pieces if piece.strip()]
    else:
        ends = list(_BOUNDARIES[level](text))
        pieces = [text[i:j] for i, j in zip([0, *ends], [*ends, len(text)], strict=True) if text[i:j].strip()]
    result = []
    finer = min(level + 1, len(_BOUNDARIES))
    for piece, count in zip(pieces, count_tokens([piece.strip() for piece in pieces]), strict=True):
        result += [piece] if count <= limit else _pieces(piece, limit, count_tokens, finer)
    return result


def _pack(pieces: list[str], sizes: list[int], limit: int, overhead: int, count_tokens: CountTokens) -> list[str]:
    """Join neighbouring pieces into parts of about equal length."""
    total, room = sum(sizes), limit - overhead
    target = total / max(1, math.ceil(total / room))
    groups: list[list[int]] = []
    filled = done = 0
    for index, size in enumerate(sizes):
        # The middle of the piece decides on which side of an ideal cut it belongs.
        ideal = int((done + size / 2) // target) if target else 0
        if not groups or filled + size > room or ideal >= len(groups):
            groups.append([])
            filled = 0
        groups[-1].append(index)
        filled += size
        done += size
    parts = ["".join(pieces[i] for i in group).strip() for group in groups]
    # A tokenizer may need a few more tokens for the whole than for its pieces.
    result = []
    for group, part, count in zip(groups, parts, count_tokens(parts), strict=True):
        if count <= limit or len(group) == 1:
            result.append(part)
        else:
            half = len(group) // 2
            for some in (group[:half], group[half:]):
                chosen = [pieces[i] for i in some]
                result += _pack(chosen, [sizes[i] for i in some], limit, overhead, count_tokens)
    return result
