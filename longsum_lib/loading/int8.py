"""Loading weights as int8 on a CPU, one tensor at a time: nothing of full size but the tensor at hand is in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from longsum_lib.errors import CorruptCheckpoint, OptionError
from longsum_lib.loading import checkpoint_files
from longsum_lib.models.core.int8 import Int8Embedding, Int8Linear, to_int8
from longsum_lib.stored.folder import weight_files
from longsum_lib.upstream.torch import nothing_drawn_without_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Pair = tuple[Tensor, Tensor]


def read_int8(
    model_class: type[PreTrainedModel], checkpoint: checkpoint_files.Checkpoint, **options: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read a checkpoint's weights as int8: all linear layers of encoder and decoder, the token table and the head.

    A tied table is kept once. Norms, biases and positions are bf16.

    Args:
        model_class: One of this library's classes.
        checkpoint: Where its files are.
        **options: Fields of the config.

    Returns:
        The model, and a report like that of transformers' ``from_pretrained``.

    Raises:
        OptionError: An option is no field of the config.
        CorruptCheckpoint: A weight holds numbers that are not finite.

    Cost:
        memory of the quantized model and of the largest tensor in the checkpoint's own format.
    """
    config_class = model_class.config_class
    if config_class is None:
        raise OptionError(f"{model_class.__name__} has no config of its own")
    config, left = config_class.from_pretrained(checkpoint.folder, return_unused_kwargs=True, **options)
    if left:
        raise OptionError(f"quantization 'int8' on a CPU takes fields of the config besides, got {', '.join(left)}")
    with torch.device("meta"), nothing_drawn_without_memory(), _default_dtype(torch.bfloat16):
        model = model_class(config)
    info = _fill(model, checkpoint)
    if model.can_generate() and (checkpoint.folder / "generation_config.json").is_file():
        from transformers import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(checkpoint.folder)
    return model, info


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _fill(model: PreTrainedModel, checkpoint: checkpoint_files.Checkpoint) -> dict[str, Any]:
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    tables = {name for name in expected if _is_quantized(model, name)}
    found: dict[str, Tensor | Pair] = {}
    scratch: list[Tensor] = []
    unexpected, mismatched = [], []
    for key, tensor in _stored(checkpoint):
        name = _name_in(expected, key, model.base_model_prefix)
        if name is None:
            unexpected.append(key)
        elif tensor.shape != expected[name]:
            mismatched.append((name, tensor.shape, expected[name]))
        else:
            found[name] = (
                _checked(to_int8(tensor, scratch), name, checkpoint.name) if name in tables else tensor.bfloat16()
            )
    for copy, source in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if source in found or copy in found:
            found[source] = found[copy] = found[source] if source in found else found[copy]
    missing = [name for name in expected if name not in found]
    for name, value in found.items():
        _put(model, name, value)
    _make_what_is_missing(model, missing)
    for name in tables & found.keys():
        _replace(model, name, found[name])
    return {
        "missing_keys": _without(missing, model._keys_to_ignore_on_load_missing),
        "unexpected_keys": _without(unexpected, model._keys_to_ignore_on_load_unexpected),
        "mismatched_keys": set(mismatched),
        "error_msgs": [],
    }


def _is_quantized(model: PreTrainedModel, name: str) -> bool:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if leaf != "weight":
        return False
    if isinstance(module, nn.Linear):
        return True
    return isinstance(module, nn.Embedding) and module.num_embeddings == model.config.vocab_size


def _stored(checkpoint: checkpoint_files.Checkpoint) -> Iterator[tuple[str, Tensor]]:
    for path in weight_files(checkpoint.folder):
        yield from _stored_in(path)


def _stored_in(path: Path) -> Iterator[tuple[str, Tensor]]:
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            keys = list(file.keys())
        for key in keys:
            # Opened anew for each tensor: what was read of a file stays in memory as long as it is mapped.
            with safe_open(path, "pt") as file:
                tensor = file.get_tensor(key)
            yield key, tensor
            del tensor
        return
    yield from torch.load(path, map_location="cpu", mmap=True, weights_only=True).items()


def _name_in(expected: dict[str, torch.Size], key: str, prefix: str) -> str | None:
    """A stored name as the model has it: checkpoints of a model with and without its head differ by a prefix."""
    for name in (key, f"{prefix}.{key}", key.removeprefix(f"{prefix}.")):
        if name in expected:
            return name
    return None


def _checked(pair: Pair, name: str, checkpoint: str) -> Pair:
    if not bool(torch.isfinite(pair[1]).all()):
        raise CorruptCheckpoint(
            f"{checkpoint}: {name} holds numbers that are not finite (NaN or infinity); the file is damaged or the "
            "training that made it diverged"
        )
    return pair


def _put(model: nn.Module, name: str, value: Tensor | Pair) -> None:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if isinstance(value, tuple):
        return
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(value, requires_grad=False)
    else:
        module._buffers[leaf] = value


def _make_what_is_missing(model: PreTrainedModel, missing: list[str]) -> None:
    """Give missing tensors the first values that the model gives them; whether any may be missing is judged later."""
    owners: dict[str, nn.Module] = {}
    for name in missing:
        owner = name.rpartition(".")[0]
        owners.setdefault(owner, model.get_submodule(owner))
        empty = torch.zeros(model.get_parameter_or_buffer(name).shape, dtype=torch.bfloat16)
        _put(model, name, empty)
    for module in owners.values():
        model._init_weights(module)


def _replace(model: nn.Module, name: str, value: Tensor | Pair) -> None:
    path = name.rpartition(".")[0]
    parent, _, child = path.rpartition(".")
    old, (codes, scales) = model.get_submodule(path), value
    if isinstance(old, nn.Embedding):
        new: nn.Module = Int8Embedding(codes, scales, getattr(old, "embed_scale", 1.0))
    else:
        bias = old.bias
        new = Int8Linear(codes, scales, bias if isinstance(bias, Tensor) else None)
    setattr(model.get_submodule(parent), child, new)


def _without(names: list[str], patterns: Iterable[str] | None) -> list[str]:
    return [name for name in names if not any(re.search(pattern, name) for pattern in patterns or ())]
