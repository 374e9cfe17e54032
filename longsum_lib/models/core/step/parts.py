"""What a decoder layer is made of, whatever its family calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

if TYPE_CHECKING:
    from longsum_lib.models.core.layers import DecoderAttention


class DecoderParts(NamedTuple):
    """The modules of one decoder layer.

    Args:
        own: attention to the row's own text.
        cross: attention to the document.
        inner: first projections of the feed-forward block; where there are two, the second one is the gate.
        act: activation of the first one.
        outer: last projection of the feed-forward block.
        norms: of own attention, cross-attention and feed-forward block.
        pre_norm: whether a block normalizes what comes in, and not the sum that goes out.
    """

    own: DecoderAttention
    cross: DecoderAttention
    inner: tuple[nn.Module, ...]
    act: Callable[[Tensor], Tensor]
    outer: nn.Module
    norms: tuple[nn.Module, nn.Module, nn.Module]
    pre_norm: bool
