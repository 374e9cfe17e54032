"""Training of the tiny models on the synthetic corpus: ``longsum train``.

The loop is transformers' ``Seq2SeqTrainer``; here are the recipe (a curriculum from short to long documents), the
model's size and first weights, and the stream of examples, which are written while training runs.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import math
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from longsum_lib.errors import MissingExtra, OptionError

LONGEST_SUMMARY = 200  # tokens that the bundled models may write; a reference summary has about 140 at most
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

    steps: int = 4000
    tokens_per_batch: int = 8192
    short_tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    seed: int = 0


def periodic_positions(length: int, width: int, *, period: int = 512, amplitude: float = 0.125) -> torch.Tensor:
    """Sines and cosines of position whose periods all divide ``period``.

    ``P[i, 2k] = a sin(2 pi m_k i / period)``, ``P[i, 2k + 1] = a cos(...)`` with whole numbers ``m_k`` from 1 to
    about a third of the period. The table repeats itself, so a model that has seen positions 0 to ``period`` has
    seen all of them, and relative offsets below ``period / 2`` remain distinct.

    Args:
        length: Number of positions.
        width: Width of the model, even.
        period: Positions after which the table repeats.
        amplitude: Largest value; 0.125 gives the rows about the size of the token embeddings.

    Returns:
        ``(length, width)`` in fp32.

    Example:
        >>> table = periodic_positions(1024, 8)
        >>> bool(torch.allclose(table[:512], table[512:], atol=1e-5))
        True
    """
    count = width // 2
    wished = torch.logspace(0, math.log10(period / 3), count, dtype=torch.float64)
    frequencies: list[int] = []
    for value in wished.tolist():  # whole and distinct
        frequencies.append(max(round(value), frequencies[-1] + 1 if frequencies else 1))
    angles = torch.outer(torch.arange(length, dtype=torch.float64) % period, torch.tensor(frequencies)) / period
    table = torch.stack([angles.mul(2 * math.pi).sin(), angles.mul(2 * math.pi).cos()], dim=-1)
    return (amplitude * table.reshape(length, width)).float()


def tiny_led_config() -> Any:
    """Configuration of ``led-tiny``: 3 encoder and 2 decoder layers of width 128, window of 64 tokens a side."""
    from transformers import LEDConfig

    from longsum_lib.corpus.tokenizer import BOS, EOS, PAD, VOCABULARY

    return LEDConfig(
        vocab_size=VOCABULARY,
        d_model=128,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        attention_window=[128] * 3,
        max_encoder_position_embeddings=16384,
        max_decoder_position_embeddings=256,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=0.06,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
    )


def tiny_led(seed: int = 0) -> Any:
    """A new ``led-tiny`` with the first weights of the recipe.

    Token embeddings and positions get about the same size, because LED adds them before its first layer norm. The
    encoder's position table is periodic and stays fixed.
    """
    torch.manual_seed(seed)
    model = led_class()(tiny_led_config())
    with torch.no_grad():
        model.led.shared.weight.normal_(0.0, 0.09)
        encoder, decoder = model.led.encoder.embed_positions, model.led.decoder.embed_positions
        encoder.weight.copy_(periodic_positions(*encoder.weight.shape))
        decoder.weight.copy_(periodic_positions(*decoder.weight.shape, period=1024))
    return model


def led_class() -> Any:
    """The class of ``led-tiny``."""
    from longsum_lib.models.led import LEDForConditionalGeneration

    return LEDForConditionalGeneration


def freeze_positions(model: Any) -> None:
    """Keep the encoder's periodic position table fixed in training."""
    model.led.encoder.embed_positions.weight.requires_grad_(False)


def make_batch(seed: int, length: int, count: int, split: str = "train") -> dict[str, torch.Tensor]:
    """A batch of documents and summaries.

    Args:
        seed: Seed of the first document; the others follow.
        length: Upper bound of each document in tokens.
        count: Documents.
        split: ``"train"`` or ``"test"``.

    Returns:
        ``input_ids``, ``attention_mask``, ``global_attention_mask`` of shape (count, longest document), the first
        token global, and ``labels`` of shape (count, longest summary) with -100 for padding.
    """
    from longsum_lib.corpus import make_document
    from longsum_lib.corpus.tokenizer import PAD, encode

    documents = [make_document(seed + index, length, split) for index in range(count)]
    inputs = _pad([encode(document.text) for document in documents], PAD)
    labels = _pad([encode(document.summary)[1:] for document in documents], IGNORED)
    is_global = torch.zeros_like(inputs)
    is_global[:, 0] = 1
    return {
        "input_ids": inputs,
        "attention_mask": (inputs != PAD).long(),
        "global_attention_mask": is_global,
        "labels": labels,
    }


def _pad(rows: list[list[int]], value: int) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


class CorpusStream(torch.utils.data.IterableDataset):
    """Endless batches of the training split, by step: the batch of a step depends on seed and step alone.

    Args:
        recipe: Steps, batch size and seed.
        first_step: Step to begin with, after a resume.
    """

    def __init__(self, recipe: Recipe, first_step: int = 0):
        self.recipe, self.first_step = recipe, first_step

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of one step."""
        recipe = self.recipe
        rng = random.Random(f"longsum-batch-{recipe.seed}-{step}")
        progress = step / recipe.steps
        lengths = next(lengths for end, lengths in CURRICULUM if progress < end or end == 1.0)
        length = lengths[int(rng.random() * len(lengths))]
        tokens = recipe.short_tokens_per_batch if length <= SHORT else recipe.tokens_per_batch
        seed = recipe.seed * 10**9 + step * 1000
        return make_batch(seed, length, max(1, tokens // length))

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(self.first_step, self.recipe.steps):
            yield self.batch(step)


def train(
    output: str | Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    save_steps: int = 250,
    progress: bool = True,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Train ``led-tiny`` and write it to a folder.

    Args:
        output: Folder for the checkpoints of the run (``checkpoint-<step>``) and, at the end, for the model in fp16
            with its tokenizer and its curve.
        recipe: What to train on and for how long.
        resume: Go on from the latest checkpoint in the folder; without one, start from the beginning.
        save_steps: Steps between two checkpoints: an interruption loses no more than these.
        progress: Show a progress bar.
        callbacks: Further ``TrainerCallback`` objects.

    Returns:
        The trained model.

    Raises:
        MissingExtra: If ``accelerate`` is not installed, which transformers' ``Trainer`` needs.
        OptionError: If the folder holds checkpoints of an earlier run and ``resume`` is not set.

    Cost:
        Memory O(tokens_per_batch), whatever the length of the documents.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtra("accelerate", "training", "training")
    from transformers import Seq2SeqTrainer
    from transformers.trainer_utils import get_last_checkpoint

    output = Path(output)
    checkpoint = get_last_checkpoint(str(output)) if output.is_dir() else None
    if checkpoint and not resume:
        raise OptionError(
            f"{output} holds {Path(checkpoint).name} of an earlier run; set resume or choose another folder"
        )
    first_step = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    model = tiny_led(recipe.seed)
    freeze_positions(model)
    trainer = Seq2SeqTrainer(
        model=model,
        args=_trainer_arguments(output, recipe, save_steps, progress),
        train_dataset=CorpusStream(recipe, first_step),
        data_collator=lambda items: items[0],
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    curve = [[entry["step"], round(entry["loss"], 4)] for entry in trainer.state.log_history if "loss" in entry]
    save_checkpoint(model, output, recipe, curve)
    return model


def _trainer_arguments(output: Path, recipe: Recipe, save_steps: int, progress: bool) -> Any:
    from transformers import Seq2SeqTrainingArguments

    return Seq2SeqTrainingArguments(
        output_dir=str(output),
        max_steps=recipe.steps,
        per_device_train_batch_size=1,  # one item of the stream is a whole batch
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_steps,
        adam_beta2=0.98,
        weight_decay=0.01,
        max_grad_norm=1.0,
        logging_steps=25,
        save_steps=save_steps,
        save_total_limit=2,
        ignore_data_skip=True,  # the stream itself starts at the right step
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=not progress,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def save_checkpoint(model: Any, folder: str | Path, recipe: Recipe, curve: list[list[float]]) -> None:
    """Write a model for use: fp16 weights, configuration, tokenizer, recipe and loss curve.

    Args:
        model: The trained model; it is left as it is.
        folder: Where the files go.
        recipe: Written to ``training.json``.
        curve: Pairs of step and loss, written beside it.
    """
    from transformers import GenerationConfig

    from longsum_lib.corpus.tokenizer import TOKENIZER_FOLDER

    folder = Path(folder)
    small = copy.deepcopy(model).half()
    config = small.config
    config.use_cache = True  # the trainer turns it off
    small.generation_config = GenerationConfig(
        max_new_tokens=LONGEST_SUMMARY,
        num_beams=1,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )
    small.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER_FOLDER / name, folder / name)
    record = {"recipe": asdict(recipe), "curriculum": CURRICULUM, "step_and_loss": curve}
    (folder / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``longsum train``."""
    defaults = Recipe()
    parser.add_argument("--model", default="led", choices=["led"], help="mechanism to train (default: led)")
    parser.add_argument("--output", required=True, help="folder for checkpoints and the trained model")
    parser.add_argument("--steps", type=int, default=defaults.steps, help=f"steps (default: {defaults.steps})")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seed of weights and examples (default: 0)")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=defaults.learning_rate,
        help=f"peak learning rate (default: {defaults.learning_rate})",
    )
    parser.add_argument(
        "--tokens-per-batch",
        type=int,
        default=defaults.tokens_per_batch,
        help=f"document tokens of a batch; half as many if documents are short (default: {defaults.tokens_per_batch})",
    )
    parser.add_argument("--save-steps", type=int, default=250, help="steps between checkpoints (default: 250)")
    parser.add_argument("--resume", action="store_true", help="go on from the latest checkpoint in --output")


def run_train(args: argparse.Namespace) -> int:
    """Run ``longsum train``."""
    recipe = Recipe(
        steps=args.steps,
        seed=args.seed,
        learning_rate=args.learning_rate,
        tokens_per_batch=args.tokens_per_batch,
        short_tokens_per_batch=args.tokens_per_batch // 2,
    )
    try:
        train(args.output, recipe, resume=args.resume, save_steps=args.save_steps)
    except KeyboardInterrupt:
        print(
            f"stopped; the same command with --resume goes on from the last checkpoint in {args.output}",
            file=sys.stderr,
        )
        return 130
    print(f"the model is in {args.output}; longsum evaluate --model {args.output} measures it", file=sys.stderr)
    return 0
