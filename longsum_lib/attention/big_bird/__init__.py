"""Blocks: a window, the ends, and random ones: BigBird."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "big_bird_attention": "longsum_lib.attention.big_bird.attention",
    "big_bird_weights": "longsum_lib.attention.big_bird.attention",
}

__all__ = attach(__name__, _EXPORTS)
