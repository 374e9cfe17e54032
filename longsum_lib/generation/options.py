"""What a caller of ``summarize`` may say about how the model writes, in one vocabulary.

transformers has two names for each length: ``max_new_tokens`` counts what is written, ``max_length`` the start token
too. Here both are taken, the second as the first plus one. What the caller says beats the files of the checkpoint;
only two things that the caller says can contradict each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from longsum_lib.errors import Option, OptionError, UnknownOption

if TYPE_CHECKING:
    from transformers import GenerationConfig

AT_LEAST = {"max_new_tokens": 1, "min_new_tokens": 0, "num_beams": 1, "no_repeat_ngram_size": 0}
"""Options that are whole numbers, and the least that each may be."""

_START_TOKENS = 1  # what a decoder's length counts beside the tokens that are written
_LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
_OWN = ("num_return_sequences", "return_dict_in_generate", "stopping_criteria", "streamer", "custom_generate")
_ARGUMENTS = ("logits_processor", "prefix_allowed_tokens_fn", "assistant_model", "synced_gpus", "assistant_tokenizer")


@dataclasses.dataclass(frozen=True)
class Writing:
    """How to write, as the caller says it.

    Args:
        generate: Keywords of transformers' ``generate``, ``max_new_tokens`` and ``min_new_tokens`` for the lengths.
        names: What the caller calls an option, where it is not the keyword's own name; for messages.
    """

    generate: dict[str, Any]
    names: dict[str, str] = dataclasses.field(default_factory=dict)

    def name(self, keyword: str) -> str:
        """Return the caller's name of a keyword."""
        return self.names.get(keyword, keyword)


def settle(
    options: Mapping[str, Any], generation_config: GenerationConfig | None = None, owner: str = "summarize"
) -> Writing:
    """Check what the caller says and bring it into one vocabulary.

    Args:
        options: Keywords; None says nothing.
        generation_config: A ``GenerationConfig`` of transformers; what it sets counts as said by the caller, and
            keywords beat it.
        owner: The function that got the options, for messages.

    Raises:
        UnknownOption: ``generate`` knows no such option.
        OptionError: A value makes no sense, two of them contradict each other, or it is not for ``summarize``.
    """
    said = {name: value for name, value in options.items() if value is not None}
    for name in said:
        _check_name(name, owner)
    lower = _set_in(generation_config)
    for name in [*_LENGTHS, *_LENGTHS.values()]:
        other = _LENGTHS.get(name) or next(old for old, new in _LENGTHS.items() if new == name)
        if name in said and other in {**lower, **said}:
            where = "" if other in said else ", which generation_config has,"
            raise OptionError(
                Option(name), " and ", Option(other), f"{where} say the same thing twice; give one of them"
            )
    said = {**lower, **said}
    names: dict[str, str] = {}
    for old, new in _LENGTHS.items():
        if old in said:
            _check_number(old, said[old], AT_LEAST[new] + _START_TOKENS if new == "max_new_tokens" else 0)
            said[new], names[new] = max(0, said.pop(old) - _START_TOKENS), old
    for name, least in AT_LEAST.items():
        if name in said:
            _check_number(name, said[name], least)
    writing = Writing(said, names)
    shortest, longest = said.get("min_new_tokens"), said.get("max_new_tokens")
    if shortest is not None and longest is not None and shortest > longest:
        least, most = (said[n] + (_START_TOKENS if n in names else 0) for n in ("min_new_tokens", "max_new_tokens"))
        low, high = writing.name("min_new_tokens"), writing.name("max_new_tokens")
        raise OptionError(Option(low), f" is {least:,}, more than ", Option(high), f", {most:,}")
    return writing


def _check_number(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(option=name, got=value, expected=f"a whole number of at least {least}")


def _check_name(name: str, owner: str) -> None:
    if name in _OWN:
        raise OptionError(Option(name), " cannot be used here; call model.generate for that")
    if name in _LENGTHS or name in AT_LEAST or name in _ARGUMENTS:
        return
    from transformers import GenerationConfig

    known = {field for field in vars(GenerationConfig()) if not field.startswith("_")} - {"transformers_version"}
    if name not in known:
        raise UnknownOption.of(owner, name, known=[*known, *_LENGTHS, *_ARGUMENTS, *_SUMMARIZE])


_SUMMARIZE = ("model", "tokenizer", "truncate", "split", "batch_size", "device", "dtype", "quantization", "progress")


def _set_in(generation_config: GenerationConfig | None) -> dict[str, Any]:
    """Return what a config sets, beside what transformers sets in every one."""
    if generation_config is None:
        return {}
    from transformers import GenerationConfig

    if not isinstance(generation_config, GenerationConfig):
        kind = type(generation_config).__name__
        raise OptionError(f"generation_config is of type {kind}; expected a GenerationConfig(…) of transformers")
    plain, fields = vars(GenerationConfig()), vars(generation_config)
    said = {name: value for name, value in fields.items() if not name.startswith("_") and value != plain.get(name)}
    said.pop("transformers_version", None)
    for name in _OWN:
        if said.get(name):
            raise OptionError(f"generation_config has {name}, which cannot be used here; call model.generate for that")
    return said
