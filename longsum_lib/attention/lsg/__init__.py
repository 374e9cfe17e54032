"""Local, sparse and global tokens: LSG."""

from longsum_lib._lazy import attach

_EXPORTS = {
    "lsg_attention": "longsum_lib.attention.lsg.attention",
}

__all__ = attach(__name__, _EXPORTS)
