"""First weights of the tiny models: positions, and heads that look at a neighbouring token from the first step on.

A summary of the corpus copies values of several pieces, digits above all. To put them in order a model has to know of
every piece which one stands before it. The tiny models get a few thousand steps in all, so they start with heads that
look there; everything else is left to training, and these weights are trained on as well. On documents of 96 to 160
tokens, PEGASUS-X had a loss of 0.15 and LSG of 0.23 after 1,750 steps from random weights (rate 0.0015), both of 0.09
after 600 steps from these (rate 0.001); LongT5 had 0.86 after 300 steps and 0.70 from these (rate 0.002). Digits in the
wrong order were most of what was wrong.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from longsum_lib.attention.relative_position import relative_position_bucket


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
    count = width // 2
    wished = torch.logspace(0, math.log10(period / 3), count, dtype=torch.float64)
    frequencies: list[int] = []
    for value in wished.tolist():  # whole and distinct
        frequencies.append(max(round(value), frequencies[-1] + 1 if frequencies else 1))
    angles = torch.outer(torch.arange(length, dtype=torch.float64) % period, torch.tensor(frequencies)) / period
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


def look_beside(
    attention: Any, head: int, offset: int, rates: torch.Tensor, *, sharpness: float, first_column: int = 0
) -> None:
    r"""Make a head of an attention look ``offset`` tokens beside each token, by its sinusoids.

    The head's keys are a token's sines and cosines, its queries are those of the position ``offset`` farther on. Their
    product is :math:`c^2 \sum_k r_k \cos(f_k (j - i - o)) / r_0`, greatest for the key :math:`j = i + o`: faster
    sinusoids count more, since they tell neighbours apart.

    Args:
        attention: Has ``q_proj`` and ``k_proj``; its heads have two rows for each rate.
        head: Which head.
        offset: -1 is the token before, 0 the token itself.
        rates: :math:`f_k`, radians a token, falling.
        sharpness: :math:`c`; 3.5 gives the neighbour about 0.8 of the attention, 1 spreads it over some tokens.
        first_column: Column of the first rate's sines; the cosines are half the width farther on.
    """
    count, width = len(rates), attention.k_proj.weight.shape[1]
    sines, cosines = first_column + torch.arange(count), first_column + width // 2 + torch.arange(count)
    weights = sharpness * (rates / rates[0]).sqrt()
    keys, queries = torch.zeros(2 * count, width), torch.zeros(2 * count, width)
    upper, lower = torch.arange(count), count + torch.arange(count)
    keys[upper, sines] = weights
    keys[lower, cosines] = weights
    # sin(a + b) = sin a cos b + cos a sin b;  cos(a + b) = cos a cos b - sin a sin b
    queries[upper, sines], queries[upper, cosines] = weights * (offset * rates).cos(), weights * (offset * rates).sin()
    queries[lower, cosines], queries[lower, sines] = weights * (offset * rates).cos(), -weights * (offset * rates).sin()
    rows = slice(head * 2 * count, (head + 1) * 2 * count)
    with torch.no_grad():
        attention.k_proj.weight[rows] = keys
        attention.q_proj.weight[rows] = queries


def neighbour_heads(model: Any, rates: torch.Tensor) -> None:
    """Give every layer of PEGASUS-X or LSG-Pegasus heads that look at the tokens beside.

    In the encoder the first head looks at the token before, the second at the token after, the third has a slight
    leaning to near tokens; in the decoder the first looks at the token before, the second at the last few. Their
    sinusoids stay readable in all layers: token embeddings and what layers add to the states start with zeros there.

    Args:
        model: With sinusoids that are added to the embeddings: sines in the first half of the columns, then cosines.
        rates: Radians a token of the model's sinusoids, falling; the first 32 are used.
    """
    count = model.config.d_model // model.config.encoder_attention_heads // 2
    fast, slower = rates[:count], rates[count : 2 * count]
    sines = torch.arange(count)
    columns = torch.cat([sines, model.config.d_model // 2 + sines])
    encoder, decoder = model.get_encoder().layers, model.get_decoder().layers
    for layer in encoder:
        look_beside(layer.self_attn, 0, -1, fast, sharpness=3.5)
        look_beside(layer.self_attn, 1, 1, fast, sharpness=3.5)
        look_beside(layer.self_attn, 2, 0, slower, sharpness=0.6, first_column=count)
    for layer in decoder:
        look_beside(layer.self_attn, 0, -1, fast, sharpness=3.5)
        look_beside(layer.self_attn, 1, 0, fast, sharpness=1.0)
    with torch.no_grad():
        model.get_input_embeddings().weight[:, columns] = 0
        for layer in [*encoder, *decoder]:
            writers = [layer.self_attn.out_proj, layer.fc2]
            writers += [layer.encoder_attn.out_proj] if hasattr(layer, "encoder_attn") else []
            for writer in writers:
                writer.weight[columns] = 0
