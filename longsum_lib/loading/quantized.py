"""Loading weights quantized by bitsandbytes: what stays as it is, in which format to compute, what a layer holds.

How the codes are made is in :mod:`longsum_lib.quantization`; this module settles what bitsandbytes leaves open.
"""

from __future__ import annotations

import copy
import importlib.util
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from longsum_lib.errors import LongsumWarning, MissingExtra, OptionError, warn
from longsum_lib.loading import devices
from longsum_lib.units import short_name
from longsum_lib.upstream.torch import multiplies_slowly

if TYPE_CHECKING:
    import torch
    from bitsandbytes.nn.modules import Params4bit
    from transformers import BitsAndBytesConfig, PreTrainedModel

SCHEMES = ("int8", "nf4", "fp4")
"""Names of the ways to quantize a model's weights while it is loaded."""

# Language-model heads share their weights with the embedding. `wo` of the T5 family leaves the range of fp16, in which
# bitsandbytes computes with 8-bit weights. The heads of other tasks are small, and often still to be trained.
SKIPPED = ("lm_head", "wo", "classification_head", "qa_outputs", "classifier", "cls", "pooler")
"""Modules that keep their weights. transformers drops its own list as soon as it is given one."""


# Keys and values of the cross-attention are made of the whole document.
_SEES_DOCUMENT = re.compile(r"(encoder_attn\.[kv]_proj|EncDecAttention\.[kv])$")


def check_installed() -> None:
    """Raise if bitsandbytes or accelerate is missing.

    Raises:
        MissingExtra: With the command that installs them.
    """
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "quantization", "quantization")


def check_scheme(quantization: object) -> None:
    """Raise if that is no scheme, or its package is missing.

    Raises:
        OptionError: Neither one of ``SCHEMES`` nor a ``BitsAndBytesConfig`` that quantizes.
        MissingExtra: bitsandbytes or accelerate is not installed, which all but ``"int8"`` need on every device.
    """
    if isinstance(quantization, str):
        if quantization not in SCHEMES:
            raise OptionError(f"unknown quantization {quantization!r}; expected one of: {', '.join(SCHEMES)}")
    else:
        from transformers import BitsAndBytesConfig

        if not isinstance(quantization, BitsAndBytesConfig):
            raise OptionError(
                f"quantization is a {type(quantization).__name__}; expected one of: {', '.join(SCHEMES)}, "
                "or a BitsAndBytesConfig"
            )
        if not (quantization.load_in_4bit or quantization.load_in_8bit):
            raise OptionError(
                "this BitsAndBytesConfig quantizes nothing; give it load_in_4bit=True or load_in_8bit=True"
            )
    if quantization != "int8":
        check_installed()


def is_by_torch(
    quantization: object,
    device: str | int | torch.device | None,
    dtype: str | torch.dtype | None,
    options: Mapping[str, object],
) -> bool:
    """Tell whether :mod:`longsum_lib.loading.int8` quantizes: int8 on a CPU, with bf16 states or no word about them.

    Args:
        quantization: What was asked for.
        device: Likewise.
        dtype: Likewise.
        options: Further options; weights that are placed by a map are bitsandbytes'.
    """
    if quantization != "int8" or options.get("device_map") is not None or devices.choose_device(device).type != "cpu":
        return False
    return dtype is None or str(dtype).removeprefix("torch.") in ("auto", "bf16", "bfloat16")


def warn_if_slower(
    quantization: object, device: str | int | torch.device | None, dtype: str | torch.dtype | None
) -> None:
    """Warn where what saves memory costs time on a CPU: weights by bitsandbytes, and half precision it cannot multiply.

    Four bits are restored to a format that the processor multiplies before each product; so are bitsandbytes' eight
    where few rows are multiplied, and none of both is read by the step of plain products. bf16 and fp16 are
    multiplied by plain loops where the processor has no instructions for them.

    Args:
        quantization: What was asked for.
        device: Likewise.
        dtype: Likewise.
    """
    if devices.choose_device(device).type != "cpu" or is_by_torch(quantization, device, dtype, {}):
        return
    if quantization is not None:
        name = str(quantization) if isinstance(quantization, str) else "bitsandbytes"
        what = f"{name} on a CPU saves memory and costs time, a written token takes longer than in plain fp32: its "
        warn(LongsumWarning(f"{what}weights are restored before each product; int8 beside bf16 is faster"))
    short = short_name(str(dtype))
    if short in ("bf16", "fp16") and multiplies_slowly(short):
        what = f"{short} on this processor takes several times as long as fp32: it has no instructions for it; "
        warn(LongsumWarning(f"{what}leave the number format to be chosen, or save memory by int8"))


def check_not_quantized_yet(name: str, config: Mapping[str, object], quantization: object) -> None:
    """Raise if a checkpoint's weights are quantized already and shall be once more.

    Raises:
        OptionError: They are.
    """
    if quantization is not None and "quantization_config" in config:
        raise OptionError(f"the weights of {name} are quantized already; leave quantization out")


def make_config(quantization: str | BitsAndBytesConfig, compute: torch.dtype | None) -> BitsAndBytesConfig:
    """Return the settings for bitsandbytes.

    Args:
        quantization: One of ``SCHEMES``, or settings of one's own. Those are used as they are, except that a list
            of skipped modules gets the language-model head: quantized beside a tied embedding, it cannot run.
        compute: Format in which products with 4-bit weights are computed.
    """
    from transformers import BitsAndBytesConfig

    if not isinstance(quantization, str):
        skipped = quantization.llm_int8_skip_modules
        if skipped is None or "lm_head" in skipped:
            return quantization
        config = copy.deepcopy(quantization)
        config.llm_int8_skip_modules = [*skipped, "lm_head"]
        return config
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(SKIPPED))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=list(SKIPPED),
    )


def bytes_per_weight(quantization: str | BitsAndBytesConfig) -> float:
    """Return the least bytes that one weight takes, its share of the scales left out."""
    if isinstance(quantization, str):
        return 1.0 if quantization == "int8" else 0.5
    return 1.0 if quantization.load_in_8bit else 0.5


def settle(model: PreTrainedModel, compute: torch.dtype | None) -> None:
    """Make 4-bit layers compute in the format that was asked for.

    On a CPU with bf16 instructions, bitsandbytes packs 4-bit weights anew when they are first used: from then on it
    computes in bf16 whatever was asked for, cannot do sizes that are no multiple of 32 (outputs) or of a block
    (inputs), and rounds the scales once more when the model is saved. Its kernel is fast for a few rows, several times
    slower than restored weights for many. So it is only let happen where bf16 was asked for, the sizes fit, and a
    decoder's few rows pass.

    Args:
        model: A loaded model; without 4-bit layers nothing is done.
        compute: The format; ``None`` = as each layer says.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        return
    import torch
    from bitsandbytes.nn.modules import Linear4bit

    merged = model.config.model_type == "t5gemma2"  # one attention of its decoder makes keys of the document as well
    for name, module in model.named_modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = module.compute_dtype if compute is None else compute
            module.compute_type_is_set = module.compute_dtype is not None
            weight = cast("Params4bit", module.weight)
            fits = module.out_features % 32 == 0 and module.in_features % weight.quant_state.blocksize == 0
            few = _meets_few_rows(name) and not (merged and name.endswith((".k_proj", ".v_proj")))
            if not fits or module.compute_dtype != torch.bfloat16 or not few:
                module.support_avx512bf16_for_cpu = False


def _meets_few_rows(name: str) -> bool:
    """Whether a module is of the decoder and sees its tokens only, not the document."""
    return "decoder." in name and not _SEES_DOCUMENT.search(name)
