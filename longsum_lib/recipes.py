"""The tiny models: size, first weights and recipe of each, for ``longsum train``.

All have 3 encoder and 2 decoder layers of width 128 with 4 heads, and see about 64 tokens to each side. They differ in
how the rest of a long document reaches a token: one global token (LED), a stream of global tokens (PEGASUS-X), sums of
16 tokens (LongT5), or sparse keys and global tokens (LSG).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from longsum_lib.attention.relative_position import relative_position_bucket
from longsum_lib.corpus.tokenizer import BOS, EOS, PAD, VOCABULARY
from longsum_lib.corpus_stream import Recipe

LONGEST_DOCUMENT = 16_384  # tokens; the longest that the tiny models are measured on
WIDTH, HEADS, FEED_FORWARD, ENCODER_LAYERS, DECODER_LAYERS = 128, 4, 512, 3, 2
_IDS = {
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "decoder_start_token_id": BOS,
}
_BODY = {  # as LED, PEGASUS-X and LSG-Pegasus call it
    "d_model": WIDTH,
    "encoder_layers": ENCODER_LAYERS,
    "decoder_layers": DECODER_LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": FEED_FORWARD,
    "decoder_ffn_dim": FEED_FORWARD,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.06,
}


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


def tiny_led(seed: int = 0) -> Any:
    """A new ``led-tiny``: a window of 64 tokens to each side, the first token global.

    Token embeddings and positions get about the same size, because LED adds them before its first layer norm. The
    encoder's position table is periodic and stays fixed.

    Args:
        seed: Seed of the weights.
    """
    from transformers import LEDConfig

    from longsum_lib.models.led import LEDForConditionalGeneration

    config = LEDConfig(
        **_IDS,
        **_BODY,
        attention_window=[128] * ENCODER_LAYERS,
        max_encoder_position_embeddings=LONGEST_DOCUMENT,
        max_decoder_position_embeddings=256,
    )
    torch.manual_seed(seed)
    model = LEDForConditionalGeneration(config)
    encoder, decoder = model.led.encoder.embed_positions, model.led.decoder.embed_positions
    with torch.no_grad():
        model.led.shared.weight.normal_(0.0, 0.09)
        encoder.weight.copy_(periodic_positions(*encoder.weight.shape))
        decoder.weight.copy_(periodic_positions(*decoder.weight.shape, period=1024))
    encoder.weight.requires_grad_(False)
    return model


def tiny_pegasus_x(seed: int = 0) -> Any:
    """A new ``pegasus-x-tiny``: blocks of 128 tokens, every second layer shifted by half a block, 8 global tokens.

    Embeddings are scaled: its sinusoids are about 0.7 large, and 0.06 times the square root of 128 is too.

    Args:
        seed: Seed of the weights.
    """
    from transformers import PegasusXConfig

    from longsum_lib.models.pegasus_x import PegasusXForConditionalGeneration

    config = PegasusXConfig(
        **_IDS,
        **_BODY,
        scale_embedding=True,
        activation_function="gelu",
        block_size=128,
        stagger_local_blocks=True,
        num_global_tokens=8,
        max_position_embeddings=LONGEST_DOCUMENT,
    )
    torch.manual_seed(seed)
    return PegasusXForConditionalGeneration(config)


_REACH = 128  # relative_attention_max_distance: farther keys share one bucket


def first_biases(buckets: int, *, bidirectional: bool) -> torch.Tensor:
    """Relative position biases that LongT5 starts from: each of four heads leans another way.

    The first head looks at the token before, the second at the token after (in a decoder, at the last few), the third
    at all tokens, near ones more, the fourth at all alike. With biases near zero the tiny model's loss stood at about
    0.8 for hundreds of steps: T5 has no other positions, and an optimizer that moves a number by 0.001 a step needs
    thousands of steps to single out one neighbour.

    Args:
        buckets: Rows of the table.
        bidirectional: For an encoder.

    Returns:
        ``(buckets, 4)``.

    Example:
        >>> first_biases(32, bidirectional=True)[[1, 0, 17], 0].tolist()  # one token before, itself, one after
        [4.0, -4.0, -4.0]
    """
    distance = torch.arange(-_REACH - 32, _REACH + 33 if bidirectional else 1)
    bucket = relative_position_bucket(distance, bidirectional=bidirectional, num_buckets=buckets, max_distance=_REACH)
    before = -distance.float()
    before_only = torch.where(before > 0, 6 - 2 * before, torch.tensor(-4.0))
    after_only = torch.where(before < 0, 6 + 2 * before, torch.tensor(-4.0))
    second = after_only if bidirectional else -0.5 * before
    wished = torch.stack([before_only, second, -0.1 * before.abs(), 0 * before], 1).clamp(-8, 4)
    table = torch.zeros(buckets, wished.shape[1])
    counts = torch.bincount(bucket, minlength=buckets).clamp(min=1)
    return table.index_add(0, bucket, wished) / counts[:, None]


def tiny_longt5(seed: int = 0) -> Any:
    """A new ``longt5-tiny``: a radius of 63 tokens and one global token, made anew in each layer, for every 16.

    Embeddings start small (0.1), so that they learn as fast as the rest; the decoder's last norm makes up for it and
    for the square root of the width by which T5 divides before the tied head.

    Args:
        seed: Seed of the weights.
    """
    from transformers import LongT5Config

    from longsum_lib.models.longt5 import LongT5ForConditionalGeneration

    config = LongT5Config(
        **_IDS,
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        d_ff=FEED_FORWARD,
        num_layers=ENCODER_LAYERS,
        num_decoder_layers=DECODER_LAYERS,
        num_heads=HEADS,
        encoder_attention_type="transient-global",
        local_radius=63,
        global_block_size=16,
        relative_attention_num_buckets=64,
        relative_attention_max_distance=_REACH,
        dropout_rate=0.0,
    )
    torch.manual_seed(seed)
    model = LongT5ForConditionalGeneration(config)
    encoder = model.encoder.block[0].layer[0].attention
    decoder = model.decoder.block[0].layer[0].attention
    buckets = config.relative_attention_num_buckets
    with torch.no_grad():
        model.shared.weight.normal_(0.0, 0.1)
        model.decoder.final_layer_norm.weight.fill_(math.sqrt(WIDTH))
        encoder.relative_attention_bias.weight.copy_(first_biases(buckets, bidirectional=True))
        encoder.global_relative_attention_bias.weight.zero_()
        decoder.relative_attention_bias.weight.copy_(first_biases(buckets, bidirectional=False))
    return model


def tiny_lsg(seed: int = 0) -> Any:
    """A new ``lsg-tiny``, an LSG-Pegasus: blocks of 64 tokens, of which each token sees three, and 4 global tokens.

    Beyond its own three blocks a token sees 64 sparse keys to each side; each is the key of largest norm among 4.

    Args:
        seed: Seed of the weights.
    """
    from longsum_lib.models.lsg import LSGPegasusForConditionalGeneration
    from longsum_lib.models.lsg_config import LSGPegasusConfig

    config = LSGPegasusConfig(
        **_IDS,
        **_BODY,
        scale_embedding=True,
        activation_function="gelu",
        block_size=64,
        sparse_block_size=64,
        sparsity_factor=4,
        sparsity_type="norm",
        num_global_tokens=4,
        max_position_embeddings=LONGEST_DOCUMENT,
    )
    torch.manual_seed(seed)
    return LSGPegasusForConditionalGeneration(config)


@dataclass(frozen=True)
class TinyModel:
    """A tiny model that ``longsum train`` makes.

    Attributes:
        build: Makes it with the first weights, from a seed.
        recipe: How the bundled one is trained.
        first_token_global: Whether its batches mark the first token as global.
    """

    build: Callable[[int], Any]
    recipe: Recipe
    first_token_global: bool = False


_HALF_BATCHES = Recipe(steps=7000, tokens_per_batch=4096, short_tokens_per_batch=2048, learning_rate=1.5e-3)
TINY_MODELS: dict[str, TinyModel] = {
    "led": TinyModel(tiny_led, Recipe(), first_token_global=True),
    "pegasus-x": TinyModel(tiny_pegasus_x, _HALF_BATCHES),
    "longt5": TinyModel(tiny_longt5, replace(_HALF_BATCHES, steps=6000, learning_rate=1e-3)),
    "lsg": TinyModel(tiny_lsg, _HALF_BATCHES),
}
"""The mechanisms that ``longsum train --model`` knows."""
