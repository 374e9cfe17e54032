"""Where a summary looked: the cross-attention of every word of a summary, kept small.

For each word only the strongest tokens of the document are kept, and the whole of the weights summed over equal parts
of the document, so that a document of many thousand tokens takes some tens of kilobytes.
:class:`~longsum_lib.viz.explorers.summary_source.SummarySourceExplorer` shows it; everything here works without a
browser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from longsum_lib.errors import DocumentError, OptionError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.generation.utils import GenerationMixin


@dataclasses.dataclass(frozen=True)
class Place:
    """A place of the document that is worth marking, such as the sentence that holds a fact.

    Args:
        start: First character.
        end: One past the last character.
        label: What stands there, in a few words.
    """

    start: int
    end: int
    label: str


@dataclasses.dataclass(frozen=True)
class SummarySources:
    """A document, its summary, and where each word of the summary looked.

    Args:
        document: The text that was read.
        offsets: ``(tokens, 2)`` int: first and one past the last character of every token of the document; equal for
            special tokens.
        words: The summary's words, each with the sign that follows it.
        views: Names of what was averaged, such as ``"all layers"`` and ``"layer 2"``.
        strips: ``(views, words, parts)`` float32: share of a word's weight on each of ``parts`` equal parts of the
            document's tokens. Each row sums to 1.
        top_tokens: ``(views, words, top)`` int: the tokens with the largest weights, largest first.
        top_weights: ``(views, words, top)`` float32: their share of the word's weight.
        places: Marked places of the document.
    """

    document: str
    offsets: np.ndarray
    words: tuple[str, ...]
    views: tuple[str, ...]
    strips: np.ndarray
    top_tokens: np.ndarray
    top_weights: np.ndarray
    places: tuple[Place, ...] = ()

    @property
    def summary(self) -> str:
        """The summary, with single spaces."""
        return " ".join(self.words)


def read_sources(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    places: Sequence[Place] = (),
    num_beams: int = 1,
    max_new_tokens: int | None = None,
    top: int = 16,
    parts: int = 72,
) -> SummarySources:
    r"""Summarize a text and record where the decoder looked while it wrote each word.

    The decoder's position :math:`t - 1` writes token :math:`t`, so the weights of a token are those of the query
    before it. A word's weights are the mean over its tokens, over heads, and over the layers of a view.

    Args:
        model: A loaded summarization model.
        tokenizer: Its tokenizer; a fast one, which knows the characters of every token.
        text: The document.
        places: Places to mark.
        num_beams: Number of beams of beam search; 1 is greedy.
        max_new_tokens: The longest summary, in tokens; None takes the checkpoint's own.
        top: How many tokens are kept for each word.
        parts: Into how many parts the document is cut for the strips; never more than it has tokens.

    Returns:
        The words and their weights: one view for all layers, and one for each if there are two to four.

    Raises:
        DocumentError: The text is empty or longer than the model reads, or its summary is empty.
        OptionError: The tokenizer gives no character positions, or a number is not positive.

    Cost:
        One summary, and one pass of the decoder that stores ``layers · heads · written · length`` weights:
        8 MB for the tiny models at 4,096 tokens, 3 GB for LED-large, 250 tokens from 16,384.

    Example:
        >>> from longsum_lib import load, load_tokenizer, make_document
        >>> model, tokenizer = load("led-tiny"), load_tokenizer("led-tiny")
        >>> sources = read_sources(model, tokenizer, make_document(0, 512, split="test").text, parts=8)
        >>> sources.views
        ('all layers', 'layer 1', 'layer 2')
        >>> bool(abs(sources.strips.sum(-1) - 1).max() < 1e-3)
        True
    """
    for name, value in {"top": top, "parts": parts, "num_beams": num_beams}.items():
        if value < 1:
            raise OptionError(f"{name} is {value}; expected at least 1")
    ids, offsets = _encode(tokenizer, text)
    tokens, weights = _weights(model, tokenizer, ids, num_beams, max_new_tokens)
    words, groups = _words(tokenizer, tokens)
    if not words:
        raise DocumentError("the model wrote an empty summary, so there is nothing to show")
    layers = len(weights)
    views = ["all layers"] + ([f"layer {i + 1}" for i in range(layers)] if 2 <= layers <= 4 else [])
    by_layer = np.stack([_by_word(layer, groups) for layer in weights])  # (layers, words, length)
    shown = np.concatenate([by_layer.mean(0, keepdims=True), by_layer])[: len(views)]
    order = np.argsort(-shown, axis=-1, kind="stable")[..., :top]
    return SummarySources(
        document=text,
        offsets=offsets,
        words=tuple(words),
        views=tuple(views),
        strips=_strips(shown, min(parts, shown.shape[-1])),
        top_tokens=order,
        top_weights=np.take_along_axis(shown, order, axis=-1),
        places=tuple(places),
    )


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], np.ndarray]:
    """Token ids of the text and the characters of each."""
    from longsum_lib.loading.auto import quiet_transformers

    if not isinstance(text, str) or not text.strip():
        raise DocumentError("the document is empty; expected a text with at least one word")
    if not getattr(tokenizer, "is_fast", False):
        raise OptionError(
            f"{type(tokenizer).__name__} does not know which characters a token covers; "
            "load a fast tokenizer (load_tokenizer does)"
        )
    with quiet_transformers():
        encoded = tokenizer(text, return_offsets_mapping=True, truncation=False)
    return encoded["input_ids"], np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)


def _weights(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[int],
    num_beams: int,
    max_new_tokens: int | None,
) -> tuple[list[int], list[Tensor]]:
    """Write a summary; return its tokens without the start, and per decoder layer ``(written, length)`` weights."""
    import torch

    from longsum_lib.generation.options import settle
    from longsum_lib.generation.writer import Options, Writer

    writing = settle({"num_beams": num_beams, "max_new_tokens": max_new_tokens})
    writer = Writer(model, tokenizer, type(model).__name__, Options(writing))
    if writer.limit is not None and len(ids) > writer.limit:
        raise DocumentError(
            f"the document has {len(ids):,} tokens, {writer.name} reads at most {writer.limit:,}; shorten it"
        )
    inputs = writer._inputs([ids])
    with torch.inference_mode():
        written = cast("GenerationMixin", model).generate(
            **inputs, num_beams=num_beams, max_new_tokens=writer.max_new_tokens
        )
        states = model.get_encoder()(**inputs)
        decoded = model(
            encoder_outputs=states,
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=written[:, :-1],
            output_attentions=True,
        )
    # Each (1, heads, written, length): the mean over heads.
    layers = [layer[0].float().mean(0).cpu() for layer in decoded.cross_attentions]
    # LSG shows its global tokens to the decoder, before the text; they are no places of the document.
    layers = [layer[:, layer.shape[1] - len(ids) :] for layer in layers]
    return written[0, 1:].tolist(), [layer / layer.sum(-1, keepdim=True) for layer in layers]


def _words(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
    """The summary's words, and for each the positions of its tokens."""
    words: list[str] = []
    groups: list[list[int]] = []
    before = ""
    for position in range(len(tokens)):
        after = str(
            tokenizer.decode(tokens[: position + 1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ).replace("<n>", "\n")
        piece, before = after[len(before) :], after
        for part, is_new in _split(piece, starts_word=not words):
            if is_new:
                words.append("")
                groups.append([])
            if part:
                words[-1] += part
                if groups[-1][-1:] != [position]:
                    groups[-1].append(position)
    kept = [(word, group) for word, group in zip(words, groups, strict=True) if word.strip()]
    return [word for word, _ in kept], [group for _, group in kept]


def _split(piece: str, starts_word: bool) -> list[tuple[str, bool]]:
    """Cut what one token added at its spaces: ``(text, whether it begins a word)``."""
    parts = piece.replace("\n", " ").split(" ")
    return [(part, index > 0 or (starts_word and bool(part))) for index, part in enumerate(parts)]


def _by_word(layer: Tensor, groups: list[list[int]]) -> np.ndarray:
    """Mean of a layer's rows over the tokens of each word: ``(words, length)``."""
    return np.stack([layer[group].mean(0).numpy() for group in groups])


def _strips(weights: np.ndarray, parts: int) -> np.ndarray:
    """Sum the weights over equal parts of the document."""
    length = weights.shape[-1]
    edges = np.arange(parts) * length // parts
    return np.add.reduceat(weights, edges, axis=-1).astype(np.float32)
