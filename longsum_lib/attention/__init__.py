"""Attention mechanisms, one file each, on one engine; needs torch only."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "KeySet": "longsum_lib.attention.engine.attend",
    "big_bird_attention": "longsum_lib.attention.big_bird.attention",
    "block_attention": "longsum_lib.attention.engine.attend",
    "block_local_attention": "longsum_lib.attention.block_local",
    "dense_attention": "longsum_lib.attention.reference",
    "lsg_attention": "longsum_lib.attention.lsg.attention",
    "sliding_window_attention": "longsum_lib.attention.sliding_window.attention",
    "transient_global_attention": "longsum_lib.attention.transient_global.attention",
}

__all__ = attach(
    __name__, _EXPORTS, ("big_bird", "engine", "lsg", "patterns", "reference", "sliding_window", "transient_global")
)
