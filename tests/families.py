"""The models under test: our class, transformers' class of the same name, a tiny random config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import torch
import transformers
from torch import Tensor

from longsum_lib.upstream.transformers import embeddings_are_one


@dataclass(frozen=True)
class Family:
    """A model of ours and the reference that it must equal."""

    name: str
    ours: Callable[[], type]
    reference: str  # class in transformers
    config: Callable[..., transformers.PreTrainedConfig]
    has_global_mask: bool = False
    # Changes of the config with which padding behind the text changes nothing, where the reference lets it.
    without_trace_of_padding: dict = field(default_factory=dict, hash=False)
    # Makes the reference forget what it has encoded before.
    refresh: Callable[[torch.nn.Module], object] = lambda reference: None

    def reference_class(self) -> type:
        return getattr(transformers, self.reference)


def led_config(**changes) -> transformers.LEDConfig:
    fields = {
        "vocab_size": 101,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "attention_window": [8, 16],
        "max_encoder_position_embeddings": 1024,
        "max_decoder_position_embeddings": 64,
        "dropout": 0.0,
    }
    return transformers.LEDConfig(**fields | changes)


def _led() -> type:
    from longsum_lib.models.led.heads import LEDForConditionalGeneration

    return LEDForConditionalGeneration


def pegasus_x_config(**changes) -> transformers.PegasusXConfig:
    fields = {
        "vocab_size": 101,
        "d_model": 32,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "num_global_tokens": 5,
        "block_size": 16,
        "dropout": 0.0,
        "activation_function": "relu",
    }
    return transformers.PegasusXConfig(**fields | changes)


def _pegasus_x() -> type:
    from longsum_lib.models.pegasus_x import PegasusXForConditionalGeneration

    return PegasusXForConditionalGeneration


def longt5_config(**changes) -> transformers.LongT5Config:
    fields = {
        "vocab_size": 101,
        "d_model": 32,
        "d_kv": 12,  # heads wider than the states, as no other model has
        "d_ff": 48,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "local_radius": 9,
        "global_block_size": 4,
        "relative_attention_max_distance": 40,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
    }
    return transformers.LongT5Config(**fields | changes)


def longt5_global_config(**changes) -> transformers.LongT5Config:
    fields = {"encoder_attention_type": "transient-global", "feed_forward_proj": "gated-gelu"}
    return longt5_config(**fields | {"tie_word_embeddings": False} | changes)


def _longt5() -> type:
    from longsum_lib.models.longt5.model import LongT5ForConditionalGeneration

    return LongT5ForConditionalGeneration


def bigbird_pegasus_config(**changes) -> transformers.BigBirdPegasusConfig:
    fields = {
        "vocab_size": 101,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": 1024,
        "block_size": 8,
        "num_random_blocks": 2,  # 72 tokens are short
        "dropout": 0.0,
    }
    return transformers.BigBirdPegasusConfig(**fields | changes)


def _bigbird_pegasus() -> type:
    from longsum_lib.models.bigbird_pegasus.model import BigBirdPegasusForConditionalGeneration

    return BigBirdPegasusForConditionalGeneration


FAMILIES = {
    "led": Family("led", _led, "LEDForConditionalGeneration", led_config, has_global_mask=True),
    "pegasus_x": Family("pegasus_x", _pegasus_x, "PegasusXForConditionalGeneration", pegasus_x_config),
    "longt5_local": Family("longt5_local", _longt5, "LongT5ForConditionalGeneration", longt5_config),
    "longt5_global": Family("longt5_global", _longt5, "LongT5ForConditionalGeneration", longt5_global_config),
    "bigbird_pegasus": Family(
        "bigbird_pegasus",
        _bigbird_pegasus,
        "BigBirdPegasusForConditionalGeneration",
        bigbird_pegasus_config,
        without_trace_of_padding={"last_block": "document"},
        refresh=lambda reference: reference.model.encoder.set_attention_type("block_sparse"),
    ),
}


def shake(model: torch.nn.Module, size: float = 0.15) -> torch.nn.Module:
    """Make a fresh model's outputs depend on every weight: biases are no longer 0, norms no longer 1."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return model


@cache
def _weights(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return shake(reference_of(FAMILIES[name])).state_dict()


def reference_of(family: Family, **changes) -> torch.nn.Module:
    """Make the reference; where its release gives LongT5 three tables of embeddings, one of them serves all."""
    reference = family.reference_class()(family.config(**changes))
    if not embeddings_are_one(reference.config):
        reference.encoder.embed_tokens = reference.decoder.embed_tokens = reference.shared
    return reference


def reads_one_embedding(config: transformers.PreTrainedConfig) -> bool:
    """Tell whether the reference's ``from_pretrained`` reads the one stored embedding (LongT5 from 5.16 on)."""
    return embeddings_are_one(config)


@cache
def draws_in_evaluation_mode(name: str) -> bool:
    """Tell whether the reference draws random numbers where nothing is random (LED does until 5.16)."""
    family = FAMILIES[name]
    reference = reference_of(family).eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.no_grad():
        reference.get_encoder()(**inputs(family, 20))
    return not torch.equal(before, torch.get_rng_state())


def pair(family: Family, **changes) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The reference and ours, in evaluation mode, with the same random weights."""
    reference, ours = reference_of(family, **changes), family.ours()(family.config(**changes))
    reference.load_state_dict(_weights(family.name))
    ours.load_state_dict(_weights(family.name), strict=True)
    return reference.eval(), ours.eval()


def ours_only(family: Family, **changes) -> torch.nn.Module:
    """Ours alone, in evaluation mode, with the weights of :func:`pair`."""
    model = family.ours()(family.config(**changes))
    model.load_state_dict(_weights(family.name), strict=True)
    return model.eval()


def inputs(family: Family, length: int, padding: str = "none", batch: int = 2) -> dict[str, Tensor]:
    """Random documents; ``padding`` is none, right, left, scattered or empty (the last row has no real token)."""
    from agreement import random_mask

    ids = torch.randint(3, 101, (batch, length))
    mask = random_mask(padding, batch, length)
    mask = torch.ones(batch, length, dtype=torch.bool) if mask is None else mask
    out = {"input_ids": ids, "attention_mask": mask.long()}
    if family.has_global_mask:
        is_global = torch.zeros(batch, length, dtype=torch.long)
        is_global[torch.arange(batch), mask.long().argmax(1)] = 1  # the first real token
        out["global_attention_mask"] = is_global
    return out
