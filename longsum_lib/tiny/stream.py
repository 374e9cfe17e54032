"""Training batches of the synthetic corpus, written while training runs, from short documents to long ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

SHORT = 256
IGNORED = -100  # label that the loss skips
# Lengths of the document, in tokens, by stage: (share of the training at which the stage ends, lengths).
CURRICULUM: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.25, (96, 128, 160)),
    (0.375, (96, 128, 192, 256, 384)),
    (0.60, (128, 256, 512, 512, 1024)),
    (0.78, (128, 256, 512, 1024, 2048)),
    (1.00, (192, 512, 1024, 2048, 4096, 4096)),
)


@dataclass(frozen=True)
class Recipe:
    """What ``longsum train`` needs to know beside the model.

    Attributes:
        steps: Optimizer steps.
        tokens_per_batch: Document tokens of one batch, about.
        short_tokens_per_batch: The same where the documents have at most 256 tokens: they hold more facts per token.
        learning_rate: Peak learning rate.
        warmup_steps: Steps of linear warm-up; then the rate falls as a cosine to zero.
        seed: Seed of weights and examples.
    """

    steps: int = 4400
    tokens_per_batch: int = 4096
    short_tokens_per_batch: int = 2048
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    seed: int = 0


def make_batch(
    seed: int, length: int, count: int, split: str = "train", *, first_token_global: bool = True
) -> dict[str, torch.Tensor]:
    """A batch of documents and summaries.

    Args:
        seed: Seed of the first document; the others follow.
        length: Upper bound of each document in tokens.
        count: Documents.
        split: ``"train"`` or ``"test"``.
        first_token_global: Add the mask that makes the first token global, for models that take one.

    Returns:
        ``input_ids`` and ``attention_mask`` of shape (count, longest document), ``labels`` of shape (count, longest
        summary) with -100 for padding, and, if asked for, ``global_attention_mask`` of the documents' shape.
    """
    from longsum_lib.corpus import make_document
    from longsum_lib.corpus.tokenizer import PAD, encode

    documents = [make_document(seed + index, length, split) for index in range(count)]
    inputs = _pad([encode(document.text) for document in documents], PAD)
    labels = _pad([encode(document.summary)[1:] for document in documents], IGNORED)
    batch = {"input_ids": inputs, "attention_mask": (inputs != PAD).long(), "labels": labels}
    if first_token_global:
        batch["global_attention_mask"] = torch.zeros_like(inputs)
        batch["global_attention_mask"][:, 0] = 1
    return batch


def _pad(rows: list[list[int]], value: int) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


class CorpusStream(torch.utils.data.IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches of the training split, by step: the batch of a step depends on seed and step alone.

    Args:
        recipe: Steps, batch size and seed.
        first_step: Step to begin with, after a resume.
        first_token_global: Whether the batches hold a ``global_attention_mask``.
    """

    def __init__(self, recipe: Recipe, first_step: int = 0, *, first_token_global: bool = True):
        self.recipe, self.first_step, self.first_token_global = recipe, first_step, first_token_global

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of one step."""
        recipe = self.recipe
        rng = random.Random(f"longsum-batch-{recipe.seed}-{step}")
        progress = step / recipe.steps
        lengths = next(lengths for end, lengths in CURRICULUM if progress < end or end == 1.0)
        length = lengths[int(rng.random() * len(lengths))]
        tokens = recipe.short_tokens_per_batch if length <= SHORT else recipe.tokens_per_batch
        seed = recipe.seed * 10**9 + step * 1000
        return make_batch(seed, length, max(1, tokens // length), first_token_global=self.first_token_global)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(self.first_step, self.recipe.steps):
            yield self.batch(step)
