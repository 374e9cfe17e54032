"""What a language model that only writes holds in memory: its weights, and a cache that grows with the text it reads.

An encoder-decoder keeps the keys and values of a document once for each layer of its decoder. A decoder that is given
the document as a prompt keeps them for all of its layers, where no window bounds them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecoderNumbers:
    """The sizes of a decoder that its memory depends on.

    Attributes:
        parameters: number of weights.
        layers: number of layers.
        key_heads: heads of keys and values, fewer than those of queries where queries are grouped.
        head_dim: numbers in a key.
        left: keys before a token that layers with a window see; ``None`` = no layer has one.
        full_every: each so many-th layer sees everything; of no matter without ``left``.
    """

    parameters: int
    layers: int
    key_heads: int
    head_dim: int
    left: int | None = None
    full_every: int = 1


def weight_bytes(model: DecoderNumbers, bytes_per_weight: float = 2.0) -> float:
    """Return the bytes of the weights: 2 a weight in bf16, about 0.5 in four bits.

    Example:
        >>> weight_bytes(DecoderNumbers(4_000_000_000, 36, 8, 128)) / 2**30
        7.450580596923828
    """
    return model.parameters * bytes_per_weight


def cache_bytes(model: DecoderNumbers, tokens: int, itemsize: int = 2) -> int:
    """Return the bytes of the keys and values of a text, prompt and answer together.

    Args:
        model: its sizes.
        tokens: length of the text.
        itemsize: bytes of a number, 2 in bf16.

    Example:
        >>> cache_bytes(DecoderNumbers(4_000_000_000, 36, 8, 128), 16_384) / 2**30
        2.25
    """
    windows = 0 if model.left is None else model.layers - model.layers // model.full_every
    kept = (model.layers - windows) * tokens + windows * min(tokens, model.left or 0)
    return 2 * kept * model.key_heads * model.head_dim * itemsize
