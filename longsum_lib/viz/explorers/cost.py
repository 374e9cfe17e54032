"""The calculator of what a summary costs."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from longsum_lib.budget.decoder import decoder_plan
from longsum_lib.memory import CARDS, SIZES, predict, published, published_decoders
from longsum_lib.units import DTYPE_NAMES
from longsum_lib.viz.explorers.base import Explorer

DTYPES = ("fp32", "bf16", "fp16")
QUANTIZATIONS = ("none", "int8", "nf4", "fp4")


class CostCalculator(Explorer):
    """Memory and multiply-adds of a summary: model, length, beams, number format, quantization.

    The script evaluates the formulas of :mod:`longsum_lib.budget.formulas`; a test holds both equal. It marks what fits
    a T4 and an A100, what full attention would cost, and what a decoder would hold whose prompt is the document.

    Attributes:
        model: A name of ``models``.
        length: Input tokens.
        beams: Beams of beam search.
        new_tokens: Length of the summary in tokens.
        dtype: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        quantization: ``"none"``, ``"int8"``, ``"nf4"`` or ``"fp4"``.
        device: ``"gpu"`` or ``"cpu"``; the GPU's numbers are counted, not measured on a card.
        models: Sizes of the models to choose from; see :func:`longsum_lib.memory.config_numbers` for those of your own.
        cards: Memory of GPUs in GiB, by name.
        decoder: A name of ``decoders``.
        decoders: Sizes of language models that only write; see :class:`longsum_lib.budget.decoder.DecoderNumbers`.

    Example:
        >>> calculator = CostCalculator(model="google/pegasus-x-large", dtype="bf16", beams=1)
        >>> f"{calculator.plan()['weights'] / 2**30:.2f} GiB"
        '1.06 GiB'
    """

    name: ClassVar[str] = "cost"

    model = traitlets.Unicode("allenai/led-large-16384").tag(sync=True)
    length = traitlets.Int(16384, min=1).tag(sync=True)
    beams = traitlets.Int(4, min=1).tag(sync=True)
    new_tokens = traitlets.Int(256, min=1).tag(sync=True)
    dtype = traitlets.Enum(DTYPES, "fp32").tag(sync=True)
    quantization = traitlets.Enum(QUANTIZATIONS, "none").tag(sync=True)
    device = traitlets.Enum(("gpu", "cpu"), "gpu").tag(sync=True)
    models = traitlets.Dict(default_value=published()).tag(sync=True)
    cards = traitlets.Dict(default_value=dict(CARDS)).tag(sync=True)
    decoder = traitlets.Unicode("Qwen3 4B").tag(sync=True)
    decoders = traitlets.Dict(default_value=published_decoders()).tag(sync=True)

    def __init__(self, **state: Any) -> None:
        super().__init__(**state)
        if self.model not in self.models:
            raise ValueError(f"no model {self.model!r}; expected one of: {', '.join(self.models)}")
        if self.decoder not in self.decoders:
            raise ValueError(f"no decoder {self.decoder!r}; expected one of: {', '.join(self.decoders)}")

    def plan(self) -> dict[str, float]:
        """Return what the calculator shows now, as :func:`longsum_lib.memory.predict` gives it."""
        return predict(
            self.models[self.model],
            length=self.length,
            beams=self.beams,
            new_tokens=self.new_tokens,
            dtype=self.dtype,
            quantization=None if self.quantization == "none" else self.quantization,
            device=self.device,
        )

    def decoder_plan(self) -> dict[str, float]:
        """Return what the chosen decoder would hold, as :func:`longsum_lib.budget.decoder.decoder_plan` gives it."""
        run: dict[str, float | str] = {"length": self.length, "batch": 1, "beams": self.beams}
        run |= {"new_tokens": self.new_tokens, "quantization": self.quantization}
        run["bytes_per_number"] = SIZES[DTYPE_NAMES[self.dtype]]
        return decoder_plan(self.decoders[self.decoder], run)

    def describe(self) -> str:
        """Return what it shows, in words."""
        return (
            f"A calculator of the memory and the multiply-adds of a summary, here {self.model} with {self.length:,} "
            f"tokens and {self.beams} beams: {self.plan()['total'] / 2**30:.1f} GiB at the peak."
        )
