"""One document encoded, and the rules by which its summary is written, as ``generate`` itself settles them.

transformers' ``generate`` prepares everything (files, keywords, special tokens, processors, the encoder's states) and
then calls the function that it was given as ``custom_generate`` in place of its own loop. That function only keeps what
it gets, so that nothing about options has to be known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from longsum_lib.generation.batches.texts import Processors, Rules

if TYPE_CHECKING:
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

    from longsum_lib.models.core.step.parts import Writes


class Unsupported(Exception):
    """These options are for ``generate``'s own loop: sampling, groups of beams, criteria of the caller."""


def can_write_together(model: PreTrainedModel, options: Mapping[str, Any]) -> bool:
    """Tell whether the loop does what ``generate`` would do: nobody looks inside, and greedy or beam search.

    Args:
        model: A model that writes.
        options: Keywords of ``generate``.
    """
    import copy

    from transformers.generation.configuration_utils import GenerationMode

    from longsum_lib.models.core.step.generating import can_step

    if not hasattr(model, "seen_by_decoder"):  # another library's class
        return False
    with torch.inference_mode():
        if not can_step(cast("Writes", model)):
            return False
    config = copy.deepcopy(model.generation_config)
    others = config.update(**options)
    if any(value is not None for value in others.values()) or config.return_dict_in_generate:
        return False
    return config.get_generation_mode() in (GenerationMode.GREEDY_SEARCH, GenerationMode.BEAM_SEARCH)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A document that is ready to be written about.

    Attributes:
        states: The encoder's, ``(rows, d_model)``.
        real: Which of them the decoder sees, bool ``(rows,)``; None is all.
        rules: How its summary is written.
    """

    states: Tensor
    real: Tensor | None
    rules: Rules


def prepare(model: PreTrainedModel, inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> Prepared:
    """Encode one document.

    Args:
        model: A model that writes.
        inputs: ``input_ids`` ``(1, length)``, ``attention_mask`` and what else its encoder takes.
        options: Keywords of ``generate``.

    Raises:
        Unsupported: The options are none that several texts can be written with in one loop.
    """
    kept: dict[str, Any] = {}

    def keep(
        model: PreTrainedModel,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **more: Any,
    ) -> Tensor:
        kept.update(
            states=more["encoder_outputs"][0][0],
            rules=_rules(input_ids, logits_processor, stopping_criteria, generation_config),
        )
        return input_ids

    # No cache is made: the loop has its own.
    generate = cast("Callable[..., object]", model.generate)
    generate(**inputs, **options, use_cache=False, custom_generate=keep)
    return Prepared(kept["states"], _seen(model, inputs["attention_mask"]), kept["rules"])


def _seen(model: PreTrainedModel, mask: Tensor) -> Tensor | None:
    """Say which rows of the encoder the decoder sees: whole blocks and global tokens are the model's matter."""
    find = cast("Callable[[Tensor], Tensor | None]", model.seen_by_decoder)
    seen = find(mask)
    return None if seen is None or bool(seen.all()) else seen[0]


def _rules(
    ids: Tensor, processors: LogitsProcessorList, criteria: StoppingCriteriaList, config: GenerationConfig
) -> Rules:
    from transformers.generation.configuration_utils import GenerationMode
    from transformers.generation.stopping_criteria import EosTokenCriteria, MaxLengthCriteria

    mode = config.get_generation_mode()
    if mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.BEAM_SEARCH):
        raise Unsupported(f"{mode} is done by generate")
    if any(type(one) not in (EosTokenCriteria, MaxLengthCriteria) for one in criteria):
        raise Unsupported("criteria beyond the end token and the length")
    if ids.shape[1] != 1 or config.max_length is None:
        raise Unsupported("a decoder that begins with more than its start token, or has no limit")
    ends = next((one.eos_token_id for one in criteria if isinstance(one, EosTokenCriteria)), torch.empty(0))
    return Rules(
        start=int(ids[0, 0]),
        ends=frozenset(int(token) for token in ends.flatten().tolist()),
        max_length=min(one.max_length for one in criteria if isinstance(one, MaxLengthCriteria)),
        beams=config.num_beams or 1,
        length_penalty=1.0 if config.length_penalty is None else config.length_penalty,
        early_stopping=bool(config.early_stopping) if config.early_stopping != "never" else "never",
        processors=cast("Processors", processors) if len(processors) else None,
    )
