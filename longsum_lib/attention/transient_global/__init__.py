"""A window of near tokens and the means of all blocks: LongT5."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "transient_global_attention": "longsum_lib.attention.transient_global.attention",
    "transient_sums": "longsum_lib.attention.transient_global.sums",
}

__all__ = attach(__name__, _EXPORTS)
