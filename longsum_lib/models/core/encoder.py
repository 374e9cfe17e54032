"""The loop over an encoder's layers, one for all models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from longsum_lib.attention.engine.facts import counting_changes, shared_facts
from longsum_lib.models.core.asked import Asked
from longsum_lib.models.core.looking import Freedom
from longsum_lib.upstream.torch import tracing

Streams = tuple[Tensor, ...]


class Encoded(NamedTuple):
    """What an encoder's layers made.

    Args:
        states: of the tokens, ``(batch, rows, d_model)``.
        hidden_states: the tokens' states before every layer, and the last of all streams; ``None`` if not asked for.
        attentions: what each layer says of its weights; ``None`` if not asked for.
    """

    states: Tensor
    hidden_states: tuple[Any, ...] | None
    attentions: tuple[Any, ...] | None


def _same(states: Tensor) -> Tensor:
    return states


class _Shown(Protocol):
    def weights(self, *inputs: Any) -> Any:
        """Return a layer's attention weights for looking at."""


def _own_weights(layer: nn.Module, *inputs: Any) -> Any:
    return cast("_Shown", layer).weights(*inputs)


def run_encoder(
    encoder: nn.Module,
    layers: nn.ModuleList,
    states: Tensor | Streams,
    context: tuple[Any, ...],
    asked: Asked,
    freedom: Freedom,
    *,
    per_layer: Sequence[Any] | None = None,
    weights: Callable[..., Any] = _own_weights,
    shown: Callable[[Tensor], Tensor] = _same,
    finish: Callable[[Tensor], Tensor] = _same,
) -> Encoded:
    """Run the layers of an encoder over embedded tokens.

    A layer is called with the states, then ``context``, then what belongs to it alone, then ``freedom``; it returns new
    states, or a tuple of them.

    Args:
        encoder: tells whether it is ``training`` and, where it has one, its ``layerdrop``.
        layers: what to call, in order.
        states: ``(batch, rows, d_model)``; or several streams, the tokens first, which pass the layers side by side.
        context: what all layers are given, such as the padding.
        asked: what is returned beside the last states.
        freedom: what layers may do with their input, see :mod:`.looking`.
        per_layer: one thing more for each layer.
        weights: called as ``weights(layer, *states, *context[, own])`` where weights are asked for; by default the
            layer's method of this name.
        shown: what of the tokens' states is returned as hidden states.
        finish: applied to the tokens' states at the end.

    Returns:
        The last states and what was asked for.

    Cost:
        the layers; the loop keeps nothing that was not asked for.
    """
    streams, layerdrop = states if isinstance(states, tuple) else (states,), getattr(encoder, "layerdrop", 0.0)
    del states
    # A CPU has nobody to wait for; there what is kept between large temporaries would only break up the memory.
    shares = not tracing() and streams[0].device.type != "cpu"
    context = tuple(counting_changes(one) for one in context) if shares else context
    hidden: list[Tensor | Streams] = []
    seen: list[Any] = []
    with shared_facts() if shares else contextlib.nullcontext():
        for number, layer in enumerate(layers):
            if asked.hidden_states:
                hidden.append(shown(streams[0]))
            if encoder.training and layerdrop and torch.rand(()) < layerdrop:
                continue
            given = context if per_layer is None else (*context, per_layer[number])
            if asked.attentions:
                seen.append(weights(layer, *streams, *given))
            made = layer(*streams, *given, freedom)
            streams = made if isinstance(made, tuple) else (made,)
    last = finish(streams[0])
    if asked.hidden_states:
        hidden.append(last if len(streams) == 1 else (last, *streams[1:]))
    return Encoded(last, tuple(hidden) if asked.hidden_states else None, tuple(seen) if asked.attentions else None)
