"""The explorer of where a summary comes from."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from longsum_lib.viz.cross_attention import SummarySources, read_sources
from longsum_lib.viz.explorers.base import Explorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHARE_UNITS = 10_000  # weights are stored in ten-thousandths


class SummarySourceExplorer(Explorer):
    """Pick a word of a summary and see where in the document the decoder looked while it wrote it.

    Make it with :meth:`from_summary` or :meth:`from_sources`; ``word`` and ``view`` say what is shown and follow the
    reader's choice where there is a kernel.

    Attributes:
        document: The text that was read.
        words: The summary's words.
        views: Names of what was averaged.
        places: ``[start, end, label]`` of every marked place of the document, in characters.
        spans: The characters of every token, packed by :func:`pack_spans`.
        strips: Packed weights on equal parts of the document, one byte each, as parts of the largest.
        peaks: For every view and word the largest share of a part.
        top: Packed pairs of a token and its weight, largest first.
        word: Position of the word that is shown.
        view: Position of the view that is shown.

    Cost:
        The page holds the document, 1.4 bytes for each of its tokens, and for each word and view 96 bytes of strip
        and 4 for each of its strongest tokens: 55 kB for a document of 4,086 tokens and a summary of 57 words.

    Example:
        >>> from longsum_lib import load, load_tokenizer, make_document
        >>> model, tokenizer = load("led-tiny"), load_tokenizer("led-tiny")
        >>> text = make_document(0, 512, split="test").text
        >>> explorer = SummarySourceExplorer.from_summary(model, tokenizer, text)
        >>> explorer.views
        ['all layers', 'layer 1', 'layer 2']
    """

    name: ClassVar[str] = "source"

    document = traitlets.Unicode("").tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)
    places: traitlets.List[Any] = traitlets.List().tag(sync=True)
    spans = traitlets.Unicode("").tag(sync=True)
    strips = traitlets.Unicode("").tag(sync=True)
    peaks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    top = traitlets.Unicode("").tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)
    view = traitlets.Int(0).tag(sync=True)

    @classmethod
    def from_summary(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, **options: Any
    ) -> SummarySourceExplorer:
        """Summarize a text and show where each word of the summary looked.

        Args:
            model: A loaded summarization model.
            tokenizer: Its tokenizer.
            text: The document.
            **options: Options of :func:`~longsum_lib.viz.cross_attention.read_sources`, such as ``places``.

        Returns:
            The explorer, showing a word that looked at one place.
        """
        return cls.from_sources(read_sources(model, tokenizer, text, **options))

    @classmethod
    def from_sources(cls, sources: SummarySources) -> SummarySourceExplorer:
        """Show sources that were computed before."""
        peaks = sources.strips.max(-1)  # (views, words)
        levels = np.rint(255 * sources.strips / np.maximum(peaks, 1e-9)[..., None]).astype(np.uint8)
        weights = np.rint(SHARE_UNITS * sources.top_weights).astype(np.int64)
        pairs = np.stack([sources.top_tokens, weights], axis=-1).reshape(-1)
        return cls(
            document=sources.document,
            words=list(sources.words),
            views=list(sources.views),
            places=[[place.start, place.end, place.label] for place in sources.places],
            spans=_encode(pack(pack_spans(sources.offsets))),
            strips=_encode(levels.tobytes()),
            peaks=[[round(float(peak), 4) for peak in row] for row in peaks],
            top=_encode(pack(pairs.tolist())),
            word=_telling_word(sources),
        )

    def describe(self) -> str:
        """Return what the explorer shows, in words."""
        return (
            f"A summary of {len(self.words)} words, and for each word the places of the document to which the "
            "decoder's cross-attention gave the most weight."
        )

    def __repr__(self) -> str:
        """Return what it shows; the data would fill pages."""
        shown = self.words[self.word] if self.words else ""
        return (
            f"<{type(self).__name__}: {len(self.words)} words from {len(self.document):,} characters, word={shown!r}>"
        )


def _telling_word(sources: SummarySources) -> int:
    """The word to begin with: of those with five letters or more, the one with the highest bar."""
    long = np.array([len(word) >= 5 for word in sources.words])
    return int((sources.strips[0].max(-1) + long).argmax())


def pack(numbers: Iterable[int]) -> bytes:
    r"""Write whole numbers from 0 up with seven bits a byte, the eighth saying that more follow.

    Example:
        >>> pack([5, 300])
        b'\x05\xac\x02'
    """
    packed = bytearray()
    for number in numbers:
        while number >= 128:
            packed.append(number & 127 | 128)
            number >>= 7
        packed.append(number)
    return bytes(packed)


def pack_spans(offsets: np.ndarray) -> list[int]:
    """Characters of the tokens as small numbers, one for a token that begins where the one before ends.

    Twice the length; plus 1, and then how far it begins after the beginning of the one before, where that differs.
    Special tokens have no length.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    # Special tokens stand at 0, also at the end; the bytes of one character all have its place.
    starts = np.maximum.accumulate(np.where(ends > starts, starts, 0))
    numbers: list[int] = []
    before, expected = 0, 0
    for start, length in zip(starts.tolist(), np.maximum(ends - offsets[:, 0], 0).tolist(), strict=True):
        numbers += [2 * length] if start == expected else [2 * length + 1, start - before]
        before, expected = start, start + length
    return numbers


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
