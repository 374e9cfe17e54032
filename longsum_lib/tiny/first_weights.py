"""First weights of the tiny models: positions, and heads that look at a neighbouring token from the first step on.

A summary of the corpus copies values of several pieces, digits above all. To put them in order a model has to know of
every piece which one stands before it. The tiny models get a few thousand steps in all, so they start with heads that
look there; everything else is left to training, and these weights are trained on as well. On documents of 96 to 160
tokens, PEGASUS-X had a loss of 0.15 and LSG of 0.23 after 1,750 steps from random weights (rate 0.0015), both of 0.09
after 600 steps from these (rate 0.001); LongT5 had 0.86 after 300 steps and 0.70 from these (rate 0.002). LED had 0.28
between steps 500 and 750 from random weights, and 0.10 from these with batches of half the size (rate 0.001). Digits in
the wrong order were most of what was wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from longsum_lib.attention.relative_position import relative_position_bucket


def periodic_frequencies(width: int, *, period: int = 512) -> list[int]:
    """Waves per ``period`` of the sinusoids of :func:`periodic_positions`: whole, distinct, rising.

    Example:
        >>> periodic_frequencies(8)
        [1, 6, 31, 171]
    """
    frequencies: list[int] = []
    for wished in torch.logspace(0, math.log10(period / 3), width // 2, dtype=torch.float64).tolist():
        frequencies.append(max(round(wished), frequencies[-1] + 1 if frequencies else 1))
    return frequencies


def periodic_positions(length: int, width: int, *, period: int = 512, amplitude: float = 0.125) -> torch.Tensor:
    """Sines and cosines of position whose periods all divide ``period``.

    ``P[i, 2k] = a sin(2 pi m_k i / period)``, ``P[i, 2k + 1] = a cos(...)`` with whole numbers ``m_k`` from 1 to
    about a third of the period. The table repeats itself, so a model that has seen positions 0 to ``period`` has
    seen all of them, and relative offsets below ``period / 2`` remain distinct.

    Args:
        length: Number of positions.
        width: Width of the model, even.
        period: Positions after which the table repeats.
        amplitude: Largest value; 0.125 gives the rows about the size of the token embeddings.

    Returns:
        ``(length, width)`` in fp32.

    Example:
        >>> table = periodic_positions(1024, 8)
        >>> bool(torch.allclose(table[:512], table[512:], atol=1e-5))
        True
    """
    frequencies = torch.tensor(periodic_frequencies(width, period=period))
    angles = torch.outer(torch.arange(length, dtype=torch.float64) % period, frequencies.double()) / period
    table = torch.stack([angles.mul(2 * math.pi).sin(), angles.mul(2 * math.pi).cos()], dim=-1)
    return (amplitude * table.reshape(length, width)).float()


REACH = 128  # relative_attention_max_distance: farther keys share one bucket


def first_biases(buckets: int, *, bidirectional: bool) -> torch.Tensor:
    """Relative position biases that LongT5 starts from: each of four heads leans another way.

    The first head looks at the token before, the second at the token after (in a decoder, at the last few), the third
    at all tokens, near ones more, the fourth at all alike. T5 has no other positions, and an optimizer that moves a
    number by 0.001 a step needs thousands of steps to single out one neighbour from biases near zero.

    Args:
        buckets: Rows of the table.
        bidirectional: For an encoder.

    Returns:
        ``(buckets, 4)``.

    Example:
        >>> first_biases(32, bidirectional=True)[[1, 0, 17], 0].tolist()  # one token before, itself, one after
        [4.0, -4.0, -4.0]
    """
    distance = torch.arange(-REACH - 32, REACH + 33 if bidirectional else 1)
    bucket = relative_position_bucket(distance, bidirectional=bidirectional, num_buckets=buckets, max_distance=REACH)
    before = -distance.float()
    before_only = torch.where(before > 0, 6 - 2 * before, torch.tensor(-4.0))
    after_only = torch.where(before < 0, 6 + 2 * before, torch.tensor(-4.0))
    second = after_only if bidirectional else -0.5 * before
    wished = torch.stack([before_only, second, -0.1 * before.abs(), 0 * before], 1).clamp(-8, 4)
    table = torch.zeros(buckets, wished.shape[1])
    counts = torch.bincount(bucket, minlength=buckets).clamp(min=1)
    return table.index_add(0, bucket, wished) / counts[:, None]


@dataclass(frozen=True)
class Sinusoids:
    """Where a model's states carry sines and cosines of the position.

    Attributes:
        rates: Radians a token, falling; ``(count,)``.
        sines: Column of each rate's sine.
        cosines: Column of each rate's cosine.
    """

    rates: torch.Tensor
    sines: torch.Tensor
    cosines: torch.Tensor

    @classmethod
    def halves(cls, rates: torch.Tensor, width: int) -> Sinusoids:
        """All sines in the first half of ``width`` columns, then all cosines: PEGASUS-X and LSG-Pegasus."""
        columns = torch.arange(len(rates))
        return cls(rates, columns, columns + width // 2)

    @classmethod
    def periodic(cls, width: int, period: int) -> Sinusoids:
        """Those of :func:`periodic_positions`, the fastest first: LED."""
        rates = 2 * math.pi * torch.tensor(periodic_frequencies(width, period=period)) / period
        sines = torch.arange(0, width, 2).flip(0)
        return cls(rates.flip(0), sines, sines + 1)

    def __getitem__(self, some: slice) -> Sinusoids:
        return Sinusoids(self.rates[some], self.sines[some], self.cosines[some])


def look_beside(query: Any, key: Any, head: int, offset: int, waves: Sinusoids, *, sharpness: float) -> None:
    r"""Make a head of an attention look ``offset`` tokens beside each token, by its sinusoids.

    The head's keys are a token's sines and cosines, its queries are those of the position ``offset`` farther on. Their
    product is :math:`c^2 \sum_k r_k \cos(f_k (j - i - o)) / r_0`, greatest for the key :math:`j = i + o`: faster
    sinusoids count more, since they tell neighbours apart.

    Args:
        query: Projection of the attention; a head has two of its rows for each rate.
        key: The same for the keys.
        head: Which head.
        offset: -1 is the token before, 0 the token itself.
        waves: The sinusoids that the head reads.
        sharpness: :math:`c`; how much of the attention the neighbour gets depends on the rates and on the states.
    """
    rates, count = waves.rates, len(waves.rates)
    weights = sharpness * (rates / rates[0]).sqrt()
    keys, queries = torch.zeros(2 * count, key.weight.shape[1]), torch.zeros(2 * count, key.weight.shape[1])
    upper, lower = torch.arange(count), count + torch.arange(count)
    keys[upper, waves.sines] = weights
    keys[lower, waves.cosines] = weights
    # sin(a + b) = sin a cos b + cos a sin b;  cos(a + b) = cos a cos b - sin a sin b
    along, across = weights * (offset * rates).cos(), weights * (offset * rates).sin()
    queries[upper, waves.sines], queries[upper, waves.cosines] = along, across
    queries[lower, waves.cosines], queries[lower, waves.sines] = along, -across
    rows = slice(head * 2 * count, (head + 1) * 2 * count)
    with torch.no_grad():
        key.weight[rows] = keys
        query.weight[rows] = queries


def neighbour_heads(
    model: Any, encoder_waves: Sinusoids, decoder_waves: Sinusoids, *, sharpness: tuple[float, float, float]
) -> None:
    """Give every layer of LED, PEGASUS-X or LSG-Pegasus heads that look at the tokens beside.

    In the encoder the first head looks at the token before, the second at the token after, the third has a slight
    leaning to near tokens; in the decoder the first looks at the token before, the second at the last few. Their
    sinusoids stay readable in all layers: token embeddings and what layers add to the states start with zeros there.

    Args:
        model: With sinusoids that are added to the embeddings, about 1 large where the first attention reads them.
        encoder_waves: The encoder's, the fastest first; a head reads a quarter of its width of them.
        decoder_waves: The decoder's, the fastest in the same columns.
        sharpness: For heads that single out a neighbour, that lean to the last few, that lean slightly to near ones.
    """
    count = model.config.d_model // model.config.encoder_attention_heads // 2
    fast, slower = encoder_waves[:count], encoder_waves[count : 2 * count]
    columns = torch.cat([fast.sines, fast.cosines])
    encoder, decoder = model.get_encoder().layers, model.get_decoder().layers
    sharp, soft, slight = sharpness
    for layer in encoder:
        inner = getattr(layer.self_attn, "longformer_self_attn", None)
        pair = (inner.query, inner.key) if inner is not None else (layer.self_attn.q_proj, layer.self_attn.k_proj)
        look_beside(*pair, 0, -1, fast, sharpness=sharp)
        look_beside(*pair, 1, 1, fast, sharpness=sharp)
        look_beside(*pair, 2, 0, slower, sharpness=slight)
    for layer in decoder:
        pair = layer.self_attn.q_proj, layer.self_attn.k_proj
        look_beside(*pair, 0, -1, decoder_waves[:count], sharpness=sharp)
        look_beside(*pair, 1, 0, decoder_waves[:count], sharpness=soft)
    with torch.no_grad():
        model.get_input_embeddings().weight[:, columns] = 0
        for layer in [*encoder, *decoder]:
            names = ("self_attn.output", "self_attn.out_proj", "encoder_attn.out_proj", "fc2")
            modules = dict(layer.named_modules())
            for writer in (modules[name] for name in names if name in modules):
                writer.weight[columns] = 0
