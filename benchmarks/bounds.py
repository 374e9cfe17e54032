"""How many multiply-adds a computation needs, whoever does it: the bound that times are compared with.

Counted are matrix products only, and only those that no program can leave out: keys outside the window, in the
corners of blocks or in padding do not count, nor do softmax, normalizations and activations.
"""

from __future__ import annotations


def window_pairs(length: int, window: int) -> int:
    """Return how many pairs of a query and a key lie at most ``window`` tokens apart.

    Example:
        >>> window_pairs(5, 1)  # 3 in the middle, 2 at both ends
        13
        >>> window_pairs(5, 100)
        25
    """
    window = min(window, length - 1)
    return length * (2 * window + 1) - window * (window + 1)


def projections(length: int, d_model: int, ffn: int) -> int:
    """Multiply-adds of a layer's four attention projections and two feed-forward products."""
    return length * (4 * d_model * d_model + 2 * d_model * ffn)


def attention(pairs: int, d_model: int) -> int:
    """Multiply-adds of scores and of weighted values, all heads together."""
    return 2 * pairs * d_model


def led_encoder(length: int, *, d_model: int, ffn: int, window: int, layers: int) -> int:
    """Multiply-adds of LED's encoder without global tokens.

    A global token adds ``4 · length · d_model`` with its projections absorbed, which is less than a thousandth.

    Example:
        >>> led_encoder(16384, d_model=768, ffn=3072, window=512, layers=2) / 1e9  # doctest: +ELLIPSIS
        282.7...
    """
    pairs = window_pairs(length, window)
    return layers * (projections(length, d_model, ffn) + attention(pairs, d_model))


def decoder(tokens: int, keys: int, *, d_model: int, ffn: int, vocabulary: int, layers: int) -> int:
    """Multiply-adds of a decoder that is given ``tokens`` at once, without the keys and values of the ``keys`` tokens.

    Example:
        >>> decoder(1, 16384, d_model=768, ffn=3072, vocabulary=50265, layers=6) / 1e6  # doctest: +ELLIPSIS
        239.1...
    """
    own = tokens * (tokens + 1) // 2
    layer = tokens * (6 * d_model**2 + 2 * d_model * ffn) + attention(own + tokens * keys, d_model)
    return layers * layer + tokens * d_model * vocabulary


def cross_keys(keys: int, *, d_model: int, layers: int) -> int:
    """Multiply-adds of a document's keys and values for all layers of a decoder."""
    return layers * 2 * keys * d_model**2


def decoder_bytes(keys: int, *, d_model: int, ffn: int, vocabulary: int, layers: int, number: int = 4) -> int:
    """Bytes that a decoding step reads at least: all weights and a document's keys and values, once for all beams.

    Example:
        >>> decoder_bytes(16384, d_model=768, ffn=3072, vocabulary=50265, layers=6) / 1e6  # doctest: +ELLIPSIS
        956.5...
    """
    weights = layers * (6 * d_model**2 + 2 * d_model * ffn) + d_model * vocabulary
    return number * (weights + layers * 2 * keys * d_model)


def bytes_seconds(read: int, gigabytes_a_second: float) -> float:
    """Return the shortest time to read so many bytes."""
    return read / (gigabytes_a_second * 1e9)


def bound_seconds(multiply_adds: int, gflops: float) -> float:
    """Return the shortest time at a rate counted, as usual, with two operations a multiply-add."""
    return 2 * multiply_adds / (gflops * 1e9)
