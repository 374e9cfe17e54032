"""The keywords of ``summarize``, for type checkers and editors; what each means stands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, GenerationConfig, PreTrainedTokenizerBase

    from longsum_lib.terminal import Progress


class GenerateOptions(TypedDict, total=False):
    """Options of transformers' ``generate`` that change what is written; others may stand in a ``GenerationConfig``."""

    max_length: int | None
    min_length: int | None
    max_time: float | None
    do_sample: bool | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    early_stopping: bool | str | None
    length_penalty: float | None
    repetition_penalty: float | None
    encoder_repetition_penalty: float | None
    encoder_no_repeat_ngram_size: int | None
    bad_words_ids: list[list[int]] | None
    suppress_tokens: list[int] | None
    begin_suppress_tokens: list[int] | None
    forced_bos_token_id: int | None
    forced_eos_token_id: int | list[int] | None
    renormalize_logits: bool | None
    use_cache: bool | None


class SummarizeOptions(GenerateOptions, total=False):
    """What :func:`.summarize` takes beside documents and model."""

    tokenizer: PreTrainedTokenizerBase | None
    max_new_tokens: int | None
    min_new_tokens: int | None
    num_beams: int | None
    no_repeat_ngram_size: int | None
    truncate: bool
    split: bool
    extract_first: bool
    anyway: bool
    batch_size: int | None
    device: str | int | torch.device | None
    dtype: str | torch.dtype | None
    quantization: str | BitsAndBytesConfig | None
    fast: bool
    progress: Callable[[Progress], None] | None
    generation_config: GenerationConfig | None
