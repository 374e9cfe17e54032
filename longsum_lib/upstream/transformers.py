"""Differences between releases of transformers, 5.15 to 5.24.

==========  ===========================================================================================
release     what it changed
==========  ===========================================================================================
5.16.0      LongT5's config says ``scale_decoder_outputs``, and its embeddings are always one table. Before,
            a checkpoint that says ``tie_word_embeddings: false`` got random ones.
5.20.0      ``set_attn_implementation`` reaches parts of parts (T5Gemma 2's encoder of text).
5.24.0      ``AutoModel….register`` takes transformers' own configs (with ``exist_ok``); before, it skips them.
5.24.0      A cache is called ``cache`` in ``forward``, ``generate`` and outputs; it was ``past_key_values``.
5.24.0      ``gradient_checkpointing_enable`` became ``activation_checkpointing_enable``.
==========  ===========================================================================================
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel, Trainer
    from transformers.cache_utils import Cache
    from transformers.utils.generic import ModelOutput

Output = TypeVar("Output", bound="ModelOutput")

OLD_NAMES = {"past_key_values": "cache"}
"""Keywords of ``forward`` by their names in older releases, which callers still use."""

WITHOUT_MEANING = frozenset({"cache_position", "task_ids", "tokenizer"})
"""What ``generate``, ``Trainer``, peft or accelerate may pass to a ``forward`` and what says nothing new here: the
place in the cache, which the cache knows, the number of a peft task, which peft's prompt encoder has used, and the
tokenizer, which ``generate`` needs for stop strings and hands on."""

_PACKED = "packed sequences are not supported; pad them into a batch and give attention_mask"
_HEADS = "transformers 5 removed head masks from its models, and ignores it; prune heads instead"
REFUSED = {
    "num_items_in_batch": "the loss here is always the mean over the batch's tokens; scale it yourself",
    "output_router_logits": "this model has no experts",
    "position_ids": "this model counts positions by itself",
    "decoder_position_ids": "this model counts positions by itself",
    "is_causal": "the encoder always sees both sides and the decoder never what follows",
    "cu_seq_lens_q": _PACKED,
    "cu_seq_lens_k": _PACKED,
    "max_length_q": _PACKED,
    "max_length_k": _PACKED,
    "seq_idx": _PACKED,
    "head_mask": _HEADS,
    "decoder_head_mask": _HEADS,
    "cross_attn_head_mask": _HEADS,
    "token_type_ids": "this model has no token types",
    "encoder_hidden_states": "this model does not attend to another one's states",
    "encoder_attention_mask": "this model does not attend to another one's states",
    "use_cache": "this model does not write, so it keeps no cache",
    "past_key_values": "this model does not write, so it keeps no cache",
    "cache": "this model does not write, so it keeps no cache",
}
"""What a ``forward`` of transformers names (``TransformersKwargs`` included) and one of ours may not have, with the
reason. ``None`` and ``False`` ask for nothing and are taken."""


@functools.cache
def cache_name() -> str:
    """Return what ``generate`` and outputs call a cache: ``"cache"`` from 5.24 on, ``"past_key_values"`` before."""
    from transformers.generation.utils import GenerationMixin

    names = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
    return "cache" if "cache" in names else "past_key_values"


def output_of(kind: type[Output], *, cache: Cache | None, **fields: Any) -> Output:
    """Make an output that holds a cache, under the name that the installed release gives it."""
    return kind(**{cache_name(): cache}, **fields)


def cache_in(output: dict[str, Any]) -> Any:
    """Return the cache of an output, or of keywords that ``generate`` passes; ``None`` without one."""
    return output.get(cache_name())


@functools.cache
def beams_can_share() -> bool:
    """Tell whether ``generate`` still has the two private steps in which beams come to share their document.

    Both or none must be replaced: where one is gone, each beam gets a copy of the document, which is slower and right.
    """
    from transformers.generation.utils import GenerationMixin

    steps = ("_expand_inputs_for_generation", "_prepare_cache_for_generation")
    return all(callable(getattr(GenerationMixin, step, None)) for step in steps)


def embeddings_are_one(config: PreTrainedConfig) -> bool:
    """Tell whether the config makes encoder and decoder read the one stored embedding (LongT5 from 5.16 on)."""
    return bool(getattr(config, "tie_word_embeddings", True)) or hasattr(config, "scale_decoder_outputs")


def make_known(classes: Mapping[str, Sequence[type[PreTrainedModel]]]) -> None:
    """Tell transformers' ``AutoModel`` classes, and so its pipelines, which of our classes they build.

    Only where they have no entry for the model's kind of config: what transformers has itself, and what another
    library has registered, stays.

    Args:
        classes: The name of a class such as ``"AutoModelForSeq2SeqLM"`` -> our classes, each with its own kind of
            config.
    """
    import transformers

    for name, ours in classes.items():
        auto = getattr(transformers, name)
        for model_class in ours:
            config_class = model_class.config_class
            if _has_foreign_entry(auto, config_class):
                continue
            auto.register(config_class, model_class, exist_ok=True)
            if config_class not in auto._model_mapping:  # skipped in silence: a config of transformers' own
                getattr(auto._model_mapping, "_extra_content", {})[config_class] = model_class


def _has_foreign_entry(auto: type, config_class: type | None) -> bool:
    """Tell whether an ``AutoModel`` class builds another library's class for a kind of config."""
    mapping = getattr(auto, "_model_mapping", None)
    if mapping is None:  # private; without it, whoever came first is left alone
        return True
    if config_class not in mapping:
        return False
    return not mapping[config_class].__module__.startswith("longsum_lib.")


LOADING_OPTIONS = frozenset(
    {
        *("pretrained_model_name_or_path", "config", "cache_dir", "ignore_mismatched_sizes", "force_download"),
        *("local_files_only", "token", "revision", "use_safetensors", "weights_only", "fusion_config", "disable_mmap"),
        *("state_dict", "proxies", "output_loading_info", "from_pipeline", "from_auto", "dtype", "torch_dtype"),
        *("device_map", "max_memory", "offload_folder", "offload_buffers", "offload_state_dict", "quantization_config"),
        *("subfolder", "commit_hash", "_commit_hash", "variant", "adapter_kwargs", "adapter_name", "generation_config"),
        *("gguf_file", "tp_plan", "tp_size", "distributed_config", "device_mesh", "key_mapping", "kernel_config"),
        *("use_kernels", "attn_implementation", "experts_implementation", "trust_remote_code", "code_revision"),
        *("low_cpu_mem_usage", "use_auth_token", "_from_pipeline", "_from_auto", "_configuration_file"),
        *("allow_all_kernels", "tqdm_class", "name_or_path", "per_layer_config"),
    }
)
"""Keywords of ``from_pretrained`` that are no fields of a config, in any supported release."""


TOKENIZER_OPTIONS = frozenset(
    {
        *("config", "tokenizer_type", "use_fast", "subfolder", "force_download", "proxies", "tokenizer_file"),
        *("backend", "gguf_file", "model_max_length", "padding_side", "truncation_side", "model_input_names"),
        *("chat_template", "fix_mistral_regex", "from_slow", "vocab_file", "merges_file", "spm_file"),
        *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "errors"),
        *("additional_special_tokens", "extra_special_tokens", "split_special_tokens", "add_prefix_space"),
        *("clean_up_tokenization_spaces", "add_bos_token", "add_eos_token", "trim_offsets", "legacy", "extra_ids"),
        *("do_lower_case", "strip_accents", "tokenize_chinese_chars", "offset", "mask_token_sent", "vocab", "merges"),
    }
)
"""Keywords of a tokenizer's ``from_pretrained`` and ``__init__``, for the tokenizers of the models here."""


def checkpointing_on(model: PreTrainedModel, options: dict[str, Any] | None = None) -> None:
    """Switch gradient checkpointing on, by the name that the installed release has for it (new in 5.24)."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable(options)


def checkpointing_off(model: PreTrainedModel) -> None:
    """Switch gradient checkpointing off again; see :func:`checkpointing_on`."""
    disable = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
    disable()


@contextlib.contextmanager
def showing_weights(model: PreTrainedModel) -> Iterator[None]:
    """Let a model's layers give their attention weights for a while, where its attention is one that never has them."""
    before = model.config._attn_implementation
    if before != "longsum":  # this library's own models give them at all times
        yield
        return
    use_attention(model, "eager")
    try:
        yield
    finally:
        use_attention(model, before)


def use_attention(model: PreTrainedModel, name: str) -> None:
    """Set the attention of a model and of every part in it, parts of parts included, to an implementation by name."""
    from transformers import PreTrainedModel

    model.set_attn_implementation(name)
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and part.config._attn_implementation != name:
            part.set_attn_implementation(name)


def train_from(trainer: Trainer, checkpoint: Path | None) -> None:
    """Train from a checkpoint, or from the beginning; a run that is at its end is loaded and not trained further.

    ``Trainer`` takes one step more there, and fails where the data end with the run.
    """
    if checkpoint is not None:
        from transformers import TrainerState

        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step >= _steps_of(trainer):
            _align_tokens(trainer)
            trainer._load_from_checkpoint(str(checkpoint))
            trainer.state = state
            return
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def _align_tokens(trainer: Trainer) -> None:
    """Bring the model's special tokens in line with the tokenizer's, as ``Trainer`` does before it trains.

    What is saved after a run that is loaded is then what was saved after the run.
    """
    import transformers.trainer_utils

    align = getattr(transformers.trainer_utils, "align_special_tokens", None)
    if align is not None and trainer.processing_class is not None:
        align(trainer.model, trainer.processing_class)


def _steps_of(trainer: Trainer) -> int:
    """How many steps a run takes, counted as ``Trainer`` counts them."""
    settings = trainer.args
    if settings.max_steps > 0:
        return int(settings.max_steps)
    batches = len(trainer.get_train_dataloader())
    return math.ceil(settings.num_train_epochs * max(1, math.ceil(batches / settings.gradient_accumulation_steps)))
