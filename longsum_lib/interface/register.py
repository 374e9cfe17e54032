"""Making ``attn_implementation="longsum"`` known to transformers."""

from __future__ import annotations

NAME = "longsum"


def register_attention() -> str:
    """Make ``attn_implementation="longsum"`` known to transformers, for every model that has windows.

    From then on ``from_pretrained(…, attn_implementation="longsum")`` and ``model.set_attn_implementation("longsum")``
    run a model's attention through this library: windows cost ``O(length · window)`` time and no mask, forward and
    backward, on any device; layers that see everything go to PyTorch's fused kernel, without a mask as well. Weights,
    results and ``generate`` are those of ``"eager"``, padded on either side, packed, or with a cache.

    Calling it again does nothing. What cannot be done exactly is refused with
    :class:`~longsum_lib.errors.UnsupportedAttention` and its reason when the model runs.

    Returns:
        The name, ``"longsum"``.

    Cost:
        importing transformers.

    Example:
        >>> from transformers import ModernBertConfig, ModernBertModel
        >>> import longsum_lib
        >>> sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "vocab_size": 9}
        >>> config = ModernBertConfig(**sizes, attn_implementation=longsum_lib.register_attention(), pad_token_id=0)
        >>> ModernBertModel(config).config._attn_implementation
        'longsum'
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    from longsum_lib.interface.attend import longsum_attention
    from longsum_lib.interface.masks import longsum_mask

    AttentionInterface.register(NAME, longsum_attention)
    AttentionMaskInterface.register(NAME, longsum_mask)
    return NAME
