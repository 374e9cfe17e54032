"""The programs that are compared: this library, transformers' class of the same name, full attention.

All have the same weights, in the same memory where they can.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

OURS, THEIRS, FULL = "longsum_lib", "transformers", "full_attention"
PROGRAMS = (OURS, THEIRS, FULL)
SEED = 0
BASE = {"d_model": 768, "ffn": 3072, "heads": 12, "window": 512, "vocabulary": 50265}


def quiet() -> None:
    """Keep libraries from talking between the figures."""
    import transformers

    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def led_config(length: int, *, layers: int, decoder_layers: int = 1, vocabulary: int = 1000, dropout: float = 0.1):
    """Return LED's config at base width, for inputs of ``length`` tokens."""
    from transformers import LEDConfig

    return LEDConfig(
        vocab_size=vocabulary,
        d_model=BASE["d_model"],
        encoder_layers=layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=BASE["heads"],
        decoder_attention_heads=BASE["heads"],
        encoder_ffn_dim=BASE["ffn"],
        decoder_ffn_dim=BASE["ffn"],
        attention_window=2 * BASE["window"],
        max_encoder_position_embeddings=length,
        max_decoder_position_embeddings=1024,
        dropout=dropout,
    )


@dataclass(frozen=True)
class Document:
    """Random tokens; the first one is global, none is padding."""

    input_ids: Tensor
    attention_mask: Tensor
    global_attention_mask: Tensor

    @classmethod
    def random(cls, length: int, vocabulary: int = 1000) -> Document:
        """Make a document of ``length`` tokens, the same one each time."""
        generator = torch.Generator().manual_seed(SEED)
        ids = torch.randint(3, vocabulary, (1, length), generator=generator)
        chosen = torch.zeros_like(ids)
        chosen[:, 0] = 1
        return cls(ids, torch.ones_like(ids), chosen)

    def inputs(self) -> dict[str, Tensor]:
        """Return the arguments of LED's classes."""
        return dict(self.__dict__)


def led_encoder(program: str, length: int, layers: int) -> torch.nn.Module:
    """Build an encoder of a program; the weights depend on the length and layers only."""
    from longsum_lib.models.led.model import LEDEncoder

    config = led_config(length, layers=layers)
    torch.manual_seed(SEED)
    ours = LEDEncoder(config).eval()
    if program == OURS:
        return ours
    if program == THEIRS:
        from transformers.models.led.modeling_led import LEDEncoder as Reference

        theirs = Reference(config).eval()
        theirs.load_state_dict(ours.state_dict(), assign=True)
        return theirs
    return _bart_encoder(ours, config, length)


def _bart_encoder(ours: torch.nn.Module, config, length: int) -> torch.nn.Module:
    """Full fused attention with the same weights: BART's encoder, whose block LED has."""
    from transformers import BartConfig
    from transformers.models.bart.modeling_bart import BartEncoder

    shared = ("vocab_size", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")
    bart = BartConfig(**{name: getattr(config, name) for name in shared}, max_position_embeddings=length)
    bart._attn_implementation = "sdpa"
    encoder = BartEncoder(bart).eval()
    names = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    weights = {}
    for name, tensor in ours.state_dict().items():
        if "_global" in name:
            continue
        name = name.replace("self_attn.output", "self_attn.out_proj")
        for old, new in names.items():
            name = name.replace(f"longformer_self_attn.{old}.", f"{new}.")
        if name == "embed_positions.weight":
            tensor = torch.cat([torch.zeros(2, tensor.shape[1]), tensor])  # BART's table begins with two unused rows
        weights[name] = tensor
    encoder.load_state_dict(weights)
    return encoder


def encode(program: str, encoder: torch.nn.Module, document: Document) -> Callable[[], Tensor]:
    """Return a call that encodes the document: ``(1, length, d_model)``."""

    @torch.no_grad()
    def run() -> Tensor:
        if program == FULL:  # without a mask, which is fastest
            return encoder(input_ids=document.input_ids).last_hidden_state
        return encoder(**document.inputs()).last_hidden_state

    return run


def led_writer(program: str, length: int, *, layers: int = 6, dropout: float = 0.1) -> torch.nn.Module:
    """Build LED with its language-model head at base width, ``layers`` on both sides, real vocabulary."""
    from transformers.models.led.modeling_led import LEDForConditionalGeneration as Reference

    from longsum_lib import LEDForConditionalGeneration

    config = led_config(length, layers=layers, decoder_layers=layers, vocabulary=BASE["vocabulary"], dropout=dropout)
    torch.manual_seed(SEED)
    return (LEDForConditionalGeneration if program == OURS else Reference)(config).eval()


def led_writers(programs: tuple[str, ...], length: int, **options: object) -> dict[str, torch.nn.Module]:
    """Build several programs' models on one copy of the weights."""
    models = {name: led_writer(name, length, **options) for name in programs}
    first = next(iter(models.values()))
    for model in models.values():
        if model is not first:
            model.load_state_dict(first.state_dict(), assign=True)
            model.tie_weights()
    return models
