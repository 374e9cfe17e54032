"""Is a text from the world that the tiny models were trained on?"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from longsum_lib.corpus.world import world

# Measured: reports of the corpus score above 0.99, plain English prose 0.3 to 0.91.
THRESHOLD = 0.95
_WORD = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=1)
def _known_words() -> frozenset[str]:
    """Every word of the world's templates and lists, in lower case."""

    def texts(entry: Any):
        if isinstance(entry, str):
            yield re.sub(r"\{\w+\}", " ", entry)
        elif isinstance(entry, dict):
            for value in entry.values():
                yield from texts(value)
        elif isinstance(entry, list):
            for value in entry:
                yield from texts(value)

    parts = {key: value for key, value in world().items() if key != "syllables"}
    return frozenset(word for text in texts(parts) for word in _WORD.findall(text.lower()))


@lru_cache(maxsize=1)
def _name_pattern() -> re.Pattern[str]:
    syllables = world()["syllables"]
    first, middle, last = ("|".join(syllables[key]) for key in ("first", "middle", "last"))
    return re.compile(rf"({first})({middle})?({last})")


def world_share(text: str) -> float:
    """Share of the words of a text that the world of the corpus knows, invented names included.

    Args:
        text: Any text.

    Returns:
        0 to 1; 0 for a text without words.

    Cost:
        Time O(characters).

    Example:
        >>> world_share("The survey worked on the Kelsan plateau.")
        1.0
    """
    words = _WORD.findall(text)
    if not words:
        return 0.0
    known = _known_words()
    return sum(word.lower() in known or bool(_name_pattern().fullmatch(word)) for word in words) / len(words)


def out_of_world(text: str, tokenizer: Any = None) -> bool:
    """Whether a text is unlike everything that the tiny models were trained on.

    Args:
        text: Any text.
        tokenizer: Not needed; accepted so that a check by tokens can take this one's place.

    Returns:
        ``True`` if fewer than 95 % of the words are known to the world of the corpus.

    Example:
        >>> out_of_world("Quarterly revenue exceeded analysts' expectations despite weak demand.")
        True
    """
    return world_share(text) < THRESHOLD
