"""From token ids to summaries: batches, the global token, generation with progress, decoding.

``longsum_lib.generation.summarize`` decides what the model reads; here it reads and writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from longsum_lib.budget.fits import check_document_fits, too_large
from longsum_lib.errors import CheckpointError, NotEnoughMemory, OptionError, is_out_of_memory
from longsum_lib.generation.file_settings import read_file_settings
from longsum_lib.generation.options import Writing
from longsum_lib.loading.auto import max_input_tokens, max_summary_tokens, quiet_transformers
from longsum_lib.loading.registry import model_type_of
from longsum_lib.models.core.looking import harmless
from longsum_lib.terminal import Progress
from longsum_lib.upstream.accelerate import running_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_NEW_TOKENS = 256
"""The longest summary in tokens when neither the caller nor the checkpoint says."""

MOST_DEFAULT_NEW_TOKENS = 1024
"""Some checkpoints allow as many tokens of summary as of document; by default none writes more than this."""


@dataclasses.dataclass(frozen=True)
class Written:
    """What the model wrote about one text: the text, its number of tokens, and whether it came to an end."""

    text: str
    tokens: int
    complete: bool


@dataclasses.dataclass(frozen=True)
class Options:
    """How to write: what the caller says about it, the batch size, and who is told how far it is."""

    writing: Writing
    batch_size: int = 1
    progress: Callable[[Progress], None] | None = None


class Writer:
    """A model with its tokenizer: counts the tokens of texts and writes their summaries.

    Args:
        model: A loaded summarization model.
        tokenizer: Its tokenizer.
        name: The model's name, for messages.
        options: How to write.

    Attributes:
        settings_from: What the caller has not said -> the file of the checkpoint that says it.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, options: Options) -> None:
        self.model, self.tokenizer, self.name, self.options = model, tokenizer, name, options
        self.entry = model_type_of(model.config)
        self.limit = max_input_tokens(model.config)
        said = options.writing.generate
        files = read_file_settings(model)
        self.max_new_tokens = _max_new_tokens(model, options.writing, files.values)
        own = _fitting(model, files.values, said, self.max_new_tokens)
        self.generate = {**own, **said, "max_new_tokens": self.max_new_tokens}
        kept = {name for name in own if name not in said and own[name] == files.values.get(name)}
        kept |= set() if "max_new_tokens" in said else {"max_new_tokens", "max_length"}
        self.settings_from = {name: source for name, source in files.sources.items() if name in kept}

    def encode(self, texts: Sequence[str], limit: int | None = None) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut to ``limit`` if one is given."""
        if not texts:
            return []
        cut = {"truncation": True, "max_length": limit} if limit else {"truncation": False}
        with quiet_transformers():
            ids = self.tokenizer(list(texts), padding=False, return_attention_mask=False, **cut)["input_ids"]
        return [list(row) for row in ids]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens included."""
        return [len(ids) for ids in self.encode(texts)]

    def write(self, documents: Sequence[list[int]], *, parts: int = 1, joined: bool = False) -> list[Written]:
        """Write a summary of each document.

        Documents of similar length share a batch, so that little is computed for padding.

        Args:
            documents: Token ids of each document.
            parts: If the documents are the parts of one, their number, for progress.
            joined: Whether this is the summary of the parts' summaries, for progress.

        Returns:
            The summaries, in the documents' order.

        Raises:
            NotEnoughMemory: A batch does not fit.
        """
        order = sorted(range(len(documents)), key=lambda i: -len(documents[i]))
        if self.options.batch_size == 1:
            order = list(range(len(documents)))
        written: dict[int, Written] = {}
        for start in range(0, len(order), self.options.batch_size):
            batch = order[start : start + self.options.batch_size]
            part = 0 if joined else min(start + 1, parts)
            results = self._write_batch([documents[i] for i in batch], part, parts)
            written.update(zip(batch, results, strict=True))
        return [written[i] for i in range(len(documents))]

    def _write_batch(self, documents: list[list[int]], part: int, parts: int) -> list[Written]:
        longest, batch = max(map(len, documents)), len(documents)
        beams = self.generate.get("num_beams") or self.model.generation_config.num_beams or 1
        check_document_fits(self.model, longest, beams, batch)
        inputs = self._inputs(documents)
        try:
            with quiet_transformers(), torch.inference_mode(), self._watched(part, parts) as criteria:
                output = self.model.generate(**inputs, **self.generate, stopping_criteria=criteria)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise NotEnoughMemory(too_large(self.model, longest, beams, batch)) from error
        return [self._decode(row) for row in output]

    def _inputs(self, documents: list[list[int]]) -> dict[str, torch.Tensor]:
        """Pad on the right and make the masks: 1 for real tokens, and for a first token that is global."""
        longest = max(map(len, documents))
        pad = self.model.config.pad_token_id
        pad = self.tokenizer.pad_token_id if pad is None else pad
        if pad is None and len(set(map(len, documents))) > 1:
            raise OptionError(f"{self.name} has no padding token; use batch_size=1")
        ids = torch.full((len(documents), longest), 0 if pad is None else pad)  # (batch, length)
        mask = torch.zeros_like(ids)
        for row, document in enumerate(documents):
            ids[row, : len(document)] = torch.tensor(document)
            mask[row, : len(document)] = 1
        if ids.numel() and int(ids.max()) >= self.model.config.vocab_size:
            raise CheckpointError(
                f"the tokenizer does not belong to {self.name}: it gives token {int(ids.max()):,}, "
                f"the model knows {self.model.config.vocab_size:,} tokens"
            )
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.entry.first_token_global:
            inputs["global_attention_mask"] = torch.zeros_like(mask)
            inputs["global_attention_mask"][:, 0] = 1
        device = running_device(self.model)
        return {name: tensor.to(device) for name, tensor in inputs.items()}

    def _decode(self, row: torch.Tensor) -> Written:
        """Decode one row of ``generate``: the start token, the summary, end and padding tokens."""
        ids = row.tolist()[1:]
        ends = self.model.generation_config.eos_token_id
        ends = set(ends) if isinstance(ends, list) else {ends}
        first_end = next((i for i, token in enumerate(ids) if token in ends), None)
        # At the length limit a checkpoint may force an end token, which says nothing.
        forced = self.model.generation_config.forced_eos_token_id is not None
        complete = first_end is not None and not (forced and first_end == self.max_new_tokens - 1)
        summary = ids if first_end is None else ids[:first_end]
        text = self.tokenizer.decode(summary, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        special = set(self.tokenizer.all_special_ids)
        tokens = sum(token not in special for token in summary)
        # Pegasus tokenizers spell a line break as <n>.
        return Written(text.replace("<n>", "\n").strip(), tokens, complete)

    @contextlib.contextmanager
    def _watched(self, part: int, parts: int) -> Iterator[list | None]:
        """Report each encoder layer and each written token while the model works."""
        report = self.options.progress
        if report is None:
            yield None
            return
        from transformers import StoppingCriteria, StoppingCriteriaList

        @harmless
        def layer_done(*_: object) -> None:
            nonlocal layers_done
            layers_done += 1
            report(Progress("reading", min(layers_done, len(layers)), len(layers), part, parts))

        class TokenDone(StoppingCriteria):
            def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
                report(Progress("writing", input_ids.shape[1] - 1, most, part, parts))
                return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

        most, layers_done = self.max_new_tokens, 0
        encoder = self.model.get_encoder()
        layers = list(getattr(encoder, "layers", None) or getattr(encoder, "block", None) or [])
        hooks = [layer.register_forward_hook(layer_done) for layer in layers]
        if layers:
            report(Progress("reading", 0, len(layers), part, parts))
        try:
            yield StoppingCriteriaList([TokenDone()])
        finally:
            for hook in hooks:
                hook.remove()


def _max_new_tokens(model: PreTrainedModel, writing: Writing, files: Mapping[str, Any]) -> int:
    """Return how many tokens a summary may have: what was asked for, else what the checkpoint's files say."""
    most = max_summary_tokens(model.config)
    asked, shortest = writing.generate.get("max_new_tokens"), writing.generate.get("min_new_tokens") or 0
    for name, value in (("max_new_tokens", asked), ("min_new_tokens", shortest)):
        if most is not None and value is not None and value > most:
            extra = 1 if name in writing.names else 0
            raise OptionError(
                f"{writing.name(name)} is {value + extra:,}, but the model can write at most {most + extra:,} tokens"
            )
    if asked is not None:
        return asked
    own = files.get("max_new_tokens") or (files.get("max_length", 0) - 1)
    own = min(own, MOST_DEFAULT_NEW_TOKENS) if own > 0 else DEFAULT_NEW_TOKENS
    if shortest > own:
        own = 2 * shortest  # the caller's minimum beats the file's maximum, and leaves room to end a sentence
    return own if most is None else min(own, most)


def _fitting(model: PreTrainedModel, files: Mapping[str, Any], said: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Return what the files say for ``generate``; a shortest summary only where the caller has left room for it."""
    own = {name: value for name, value in files.items() if name not in ("max_new_tokens", "max_length")}
    for name in ("min_length", "min_new_tokens"):
        if name in own or getattr(model.generation_config, name, None):
            value = own.get(name, 0)
            own[name] = 0 if "min_new_tokens" in said or value > longest else value
    return own
