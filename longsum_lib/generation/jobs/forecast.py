"""What a job would take, without doing it: tokens, time, memory, and what would be refused."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from longsum_lib.errors import DocumentTooLong, LongsumError
from longsum_lib.generation.choose import EXTRACT
from longsum_lib.generation.document_text import DocumentText
from longsum_lib.generation.jobs.sources import Item, Reading
from longsum_lib.generation.jobs.work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from longsum_lib.budget.formulas import ModelNumbers

_SECONDS_A_LAYER = 6e-4  # what Python takes for a decoder layer of one step, whatever its width
_SECONDS_A_STEP = 1e-3  # and for what is around the layers
_SECONDS_A_WORD = 1e-5  # of an extract
_SHARE_OF_RATE = 0.6  # of the rate of large products that an encoder reaches
_FIRST_GUESS = 256  # tokens of summary where nobody says


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a document would take.

    Attributes:
        id: Its name.
        model: The model that it would get, "" if it would be refused.
        tokens: Its length in tokens; of an extract in words.
        seconds: About how long it would take, one document at a time.
        memory: Peak in bytes, the weights included; 0 for an extract.
        refused: Why it would be refused, "" if it would not.
    """

    id: str
    model: str = ""
    tokens: int = 0
    seconds: float = 0.0
    memory: float = 0.0
    refused: str = ""


def forecast(items: Iterable[Item], work: Work, reading: Reading) -> Iterator[Forecast]:
    """Read documents and say what each would take; no weight is loaded.

    Cost:
        Reading and tokenizing each document, and half a second to measure the machine's rate.
    """
    forecaster = _Forecaster(work)
    for item in items:
        try:
            document = item.read(reading)
            yield forecaster.of(item.id, document)
        except LongsumError as error:
            from longsum_lib.generation.jobs.running import explain

            yield Forecast(item.id, refused=explain(error))


class _Forecaster:
    def __init__(self, work: Work) -> None:
        self.work = work
        self._models: dict[str, tuple[PreTrainedTokenizerBase, ModelNumbers]] = {}
        self._rate = 0.0

    def of(self, name: str, document: DocumentText) -> Forecast:
        """Say what a document would take.

        Raises:
            DocumentError: It would be refused.
        """
        chosen = self.work.choose(document)
        if chosen == EXTRACT:
            words = len(document.text.split())
            return Forecast(name, EXTRACT, words, words * _SECONDS_A_WORD)
        tokenizer, numbers = self._model(chosen)
        tokens = len(tokenizer(document.text, truncation=False)["input_ids"])
        limit, options = int(numbers.get("limit") or 0), self.work.options
        read = tokens
        if limit and tokens > limit:
            if not any(options.get(way) for way in ("truncate", "split", "extract_first")):
                raise DocumentTooLong(tokens, limit, chosen)
            read = limit
        seconds, memory = self._cost(numbers, read)
        parts = -(-tokens // limit) + 1 if options.get("split") and read < tokens else 1
        return Forecast(name, chosen, tokens, seconds * parts, memory)

    def _model(self, name: str) -> tuple[PreTrainedTokenizerBase, ModelNumbers]:
        if name not in self._models:
            from longsum_lib.loading.auto import load_tokenizer
            from longsum_lib.memory import config_numbers, model_numbers

            own = self.work.model
            numbers = model_numbers(name) if own is None or isinstance(own, str) else config_numbers(own.config, name)
            given = self.work.options.get("tokenizer")
            self._models[name] = load_tokenizer(name) if given is None else given, numbers
        return self._models[name]

    def _cost(self, numbers: ModelNumbers, tokens: int) -> tuple[float, float]:
        from longsum_lib.memory import predict
        from longsum_lib.upstream.torch import lacks_half

        options = self.work.options
        beams = options.get("num_beams") or 1
        written = options.get("max_new_tokens") or _FIRST_GUESS
        dtype = str(options.get("dtype") or "fp32").removeprefix("torch.")
        plan = predict(
            numbers,
            length=tokens,
            beams=beams,
            new_tokens=written,
            dtype="fp32" if dtype == "auto" else dtype,
            quantization=options.get("quantization"),
            half=not lacks_half(),
        )
        work = plan["encoder_work"] + plan["cross_work"] + written * plan["token_work"]
        steps = written * (_SECONDS_A_STEP + _SECONDS_A_LAYER * numbers["decoder_layers"])
        reading_weights = written * plan["weights"] / 10e9  # bytes a second that a core reads, about
        return 2 * work / (_SHARE_OF_RATE * self._products()) + steps + reading_weights, plan["total"]

    def _products(self) -> float:
        """Measure how many operations a second matrix products reach here."""
        if not self._rate:
            import torch

            left = torch.ones(1024, 1024)
            left @ left
            start = time.perf_counter()
            for _ in range(4):
                left @ left
            self._rate = 4 * 2 * 1024**3 / (time.perf_counter() - start)
        return self._rate
