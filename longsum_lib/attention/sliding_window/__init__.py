"""A window of near tokens and a few global tokens: Longformer, LED."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "block_size_for": "longsum_lib.attention.sliding_window.attention",
    "choose_backend": "longsum_lib.attention.sliding_window.attention",
    "global_positions": "longsum_lib.attention.sliding_window.attention",
    "sliding_window_attention": "longsum_lib.attention.sliding_window.attention",
}

__all__ = attach(__name__, _EXPORTS)
