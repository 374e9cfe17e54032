"""Tiny random models of every class of the installed transformers that has windows, made from their own configs."""

from __future__ import annotations

import importlib
import inspect
import pathlib
from collections.abc import Iterator

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

WINDOW = 8
LAYERS = 2

# By the field's name; a config takes those that it has.
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "global_head_dim": 8,
    "num_global_key_value_heads": 2,
    "query_pre_attn_scalar": 8,
    "vocab_size": 99,
    "vocab_size_per_layer_input": 99,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 4,
    "altup_num_inputs": 2,
    "max_position_embeddings": 256,
    "sliding_window": WINDOW,
    "local_attention": WINDOW,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_kv_shared_layers": 0,
    "n_group": 1,
    "topk_group": 1,
    "num_dense_layers": 0,
    "first_k_dense_replace": 0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 98,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "decoder_start_token_id": 1,
    "use_cache": True,
    "use_sliding_window": True,
    "max_window_layers": 1,
}

TURNS = ["sliding_attention", "full_attention"] * (LAYERS // 2)


def folders() -> list[str]:
    """Model folders of transformers whose files name ``sliding_attention`` or make a window's mask."""
    root = pathlib.Path(transformers.__file__).parent / "models"
    files = [*root.glob("*/configuration_*.py"), *root.glob("*/modeling_*.py")]
    names = ("sliding_attention", "create_sliding_window_causal_mask", "create_bidirectional_sliding_window_mask")
    return sorted({file.parent.name for file in files if any(name in file.read_text() for name in names)})


def model_classes(folder: str) -> Iterator[type[PreTrainedModel]]:
    """The classes of a folder that write, or fill masks, or failing these give states."""
    found: dict[str, type[PreTrainedModel]] = {}
    for file in (pathlib.Path(transformers.__file__).parent / "models" / folder).glob("modeling_*.py"):
        module = importlib.import_module(f"transformers.models.{folder}.{file.stem}")
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and issubclass(kind, PreTrainedModel) and kind.__module__ == module.__name__:
                found[name] = kind
    for ending in ("ForCausalLM", "ForMaskedLM", "ForConditionalGeneration", "TextModel", "Model"):
        chosen = [kind for name, kind in found.items() if name.endswith(ending) and "PreTrained" not in name]
        if chosen:
            yield from chosen
            return


def tiny_config(kind: type[PreTrainedModel]) -> PreTrainedConfig:
    """A config of a class with every size tiny, windows and full layers in turns."""
    config_class = kind.config_class
    assert config_class is not None
    if kind.__name__ == "T5GemmaForConditionalGeneration":
        part = tiny_fields(transformers.T5GemmaModuleConfig)
        return config_class(encoder=part, decoder=part, vocab_size=TINY["vocab_size"])
    if kind.__name__ == "T5Gemma2ForConditionalGeneration":
        from transformers import T5Gemma2DecoderConfig, T5Gemma2EncoderConfig, T5Gemma2TextConfig

        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision |= {"image_size": 28, "patch_size": 14}
        encoder = T5Gemma2EncoderConfig(text_config=tiny_fields(T5Gemma2TextConfig), vision_config=vision)
        decoder = T5Gemma2DecoderConfig(**tiny_fields(T5Gemma2DecoderConfig))
        return config_class(encoder=encoder, decoder=decoder)
    fields = tiny_fields(config_class)
    return config_class(**fields)


def tiny_fields(config_class: type[PreTrainedConfig]) -> dict[str, object]:
    """Fields of a config, of those in ``TINY``, and windows and full layers in turns where it knows no others."""
    config = config_class()
    names = set(vars(config)) | set(inspect.signature(config_class.__init__).parameters)
    names |= set(getattr(config_class, "__annotations__", {}))
    chosen = {name: value for name, value in TINY.items() if name in names}
    types = getattr(config, "layer_types", None)
    if types and set(types) <= set(TURNS):
        chosen["layer_types"] = TURNS[: chosen.get("num_hidden_layers", LAYERS)]
    return chosen


class TooLarge(Exception):
    """A class whose config has no sizes of its own that could be made tiny."""


def tiny_model(kind: type[PreTrainedModel], **changes: object) -> PreTrainedModel:
    """A tiny random model of a class, in evaluation mode, with weights large enough to tell keys apart."""
    config = tiny_config(kind)
    for name, value in changes.items():
        setattr(config, name, value)
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in kind(config).parameters())
    if size > 4e6:
        raise TooLarge(f"{size:,} parameters")
    torch.manual_seed(0)
    model = kind(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model
