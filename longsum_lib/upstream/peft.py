"""What peft does differently from what its users may expect.

==========  ===========================================================================================
release     what it does
==========  ===========================================================================================
0.18        Adapters on an embedding look ids up by themselves, and multiply by ``embed_scale`` if the
            embedding has one (:class:`longsum_lib.models.core.positions.ScaledEmbedding`).
0.21        Prefix tuning hands its prompt to ``forward`` as ``past_key_values``, beside the empty cache
            that transformers 5.24's ``generate`` made under the name ``cache``, and again for every token.
            transformers' own classes then write as if there were no prefix.
0.21        A ``target_modules`` that matches somewhere is taken; that it matches nothing in the encoder is
            not said. LED's and BigBird's encoders have ``query`` and ``value``, their decoders ``q_proj``
            and ``v_proj``.
==========  ===========================================================================================
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


def is_from_peft(cache: Any, prompt: Any) -> bool:
    """Tell whether of two caches the second is peft's prompt: the first is unused, or began as such a prompt."""
    return "peft" in sys.modules and (_is_unused(cache) or hasattr(cache, "_began_as_prompt"))


def prompt_of(cache: Any, prompt: Any) -> Any:
    """Return the prompt for a cache that is still unused; later, the cache, which the prompt has gone into."""
    if not _is_unused(cache):
        return cache  # peft makes its prompt anew for every token
    prompt._began_as_prompt = True
    return prompt


def _is_unused(cache: Any) -> bool:
    layers = getattr(getattr(cache, "self_attention_cache", None), "layers", None)
    return layers is not None and not any(layer.is_initialized for layer in layers)


def has_adapters(module: nn.Module) -> bool:
    """Tell whether peft has put something in place of a module inside this one."""
    return "peft" in sys.modules and any(type(part).__module__.startswith("peft.") for part in module.modules())


def advise(model: nn.Module) -> None:
    """Say once, while training, that adapters are in the decoder alone.

    Args:
        model: has ``encoder`` and ``decoder``.
    """
    encoder, decoder = model.get_submodule("encoder"), model.get_submodule("decoder")
    if "peft" not in sys.modules or getattr(model, "_adapters_seen", False) or not has_adapters(decoder):
        return
    vars(model)["_adapters_seen"] = True
    if not has_adapters(encoder):
        from torch import nn

        names = sorted({name.rpartition(".")[2] for name, m in encoder.named_modules() if isinstance(m, nn.Linear)})
        logger.warning(
            "%s: the adapters are all in the decoder; target_modules finds nothing in the encoder, whose linear layers "
            "are called %s",
            type(model).__name__,
            ", ".join(names),
        )
