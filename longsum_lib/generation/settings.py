"""What ``generate`` is told: what the caller says, what the checkpoint's files say, and what the model can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from longsum_lib.errors import Option, OptionError
from longsum_lib.generation.options import Writing
from longsum_lib.loading.auto import max_summary_tokens

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

DEFAULT_NEW_TOKENS = 256
"""The longest summary in tokens when neither the caller nor the checkpoint says."""

MOST_DEFAULT_NEW_TOKENS = 1024
"""Some checkpoints allow as many tokens of summary as of document; by default none writes more than this."""


def as_floats(options: Mapping[str, Any], config: GenerationConfig) -> dict[str, float]:
    """Return the options that are whole numbers and that ``generate`` takes as floats only."""
    given = {name: options.get(name, getattr(config, name, None)) for name in _FLOATS}
    return {name: float(value) for name, value in given.items() if isinstance(value, int)}


_FLOATS = (
    *("repetition_penalty", "encoder_repetition_penalty", "temperature", "length_penalty", "top_p", "min_p"),
    *("typical_p", "epsilon_cutoff", "eta_cutoff"),
)


def longest_summary(model: PreTrainedModel, writing: Writing, files: Mapping[str, Any]) -> int:
    """Return how many tokens a summary may have: what was asked for, else what the checkpoint's files say."""
    most = max_summary_tokens(model.config)
    asked, shortest = writing.generate.get("max_new_tokens"), writing.generate.get("min_new_tokens") or 0
    for name, value in (("max_new_tokens", asked), ("min_new_tokens", shortest)):
        if most is not None and value is not None and value > most:
            extra = 1 if name in writing.names else 0
            raise OptionError(
                Option(writing.name(name)),
                f" is {value + extra:,}, but the model can write at most {most + extra:,} tokens",
            )
    if asked is not None:
        return int(asked)
    own: int = files.get("max_new_tokens") or (files.get("max_length", 0) - 1)
    own = min(own, MOST_DEFAULT_NEW_TOKENS) if own > 0 else DEFAULT_NEW_TOKENS
    if shortest > own:
        own = 2 * shortest  # the caller's minimum beats the file's maximum, and leaves room to end a sentence
    return own if most is None else min(own, most)


def fitting(model: PreTrainedModel, files: Mapping[str, Any], said: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Return what the files say for ``generate``; a shortest summary only where the caller has left room for it."""
    own = {name: value for name, value in files.items() if name not in ("max_new_tokens", "max_length")}
    for name in ("min_length", "min_new_tokens"):
        if name in own or getattr(model.generation_config, name, None):
            value = own.get(name, 0)
            own[name] = 0 if "min_new_tokens" in said or value > longest else value
    return own
