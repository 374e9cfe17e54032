"""Fine-tuning of any of the models on any data set: ``longsum train MODEL --dataset NAME``.

The loop is transformers' ``Seq2SeqTrainer``: mixed precision, gradient checkpointing and accumulation, several GPUs
through accelerate's launcher. Here are what long documents and these models need besides: the global token, labels
without the start token that the decoder gets anyway, a loss that does not depend on how a batch is divided, number
formats that these models survive, low-rank adapters (LoRA), and going on after an interruption.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError

from longsum_lib.datasets import Example, Source
from longsum_lib.errors import CorruptCheckpoint, DeviceError, Option, OptionError
from longsum_lib.loading.guests import start_token
from longsum_lib.loading.quantized import warn_if_slower
from longsum_lib.places import check_folder, no_room, work_folder
from longsum_lib.stored.folder import WEIGHT_FILES
from longsum_lib.training.batches import IGNORED, Collator, TokenizedDocuments, model_type, summary_loss
from longsum_lib.training.run_record import content_of_documents, content_of_weights, settle_run, writing_to
from longsum_lib.training.settings import FineTuning, check_installed
from longsum_lib.upstream.transformers import checkpointing_off, checkpointing_on, train_from

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import (
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        Seq2SeqTrainer,
        TrainerCallback,
    )

MOST_INPUT_TOKENS = 16_384
"""Documents are cut to this by default where the model itself has no limit."""
MOST_SUMMARY_TOKENS = 1024
FP16_TRAINS = ("led", "lsg_bart")
"""Model types that may be trained in fp16; the states of the others leave its range (65,504)."""
LORA_TARGETS = r".*\.(q|v|q_proj|v_proj|query|value|query_global|key_global|value_global)"
"""The modules that get adapters: the query and value projections, as in the LoRA paper, in every model here; and all
three projections of LED's global tokens, which see the whole document."""


def check_precision(precision: str, config: PreTrainedConfig) -> None:
    """Refuse number formats that this machine or this model cannot train in.

    Raises:
        OptionError: Unknown, or fp16 for a model whose states leave its range.
        DeviceError: The machine does not have it.
    """
    if precision not in ("fp32", "bf16", "fp16"):
        raise OptionError(option="precision", got=precision, expected="fp32, bf16 or fp16")
    name = model_type(config)[0]
    if precision == "fp16" and name not in FP16_TRAINS:
        raise OptionError(
            f"{name} cannot be trained in fp16: its states leave the range of the format and the loss becomes nan; "
            "choose bf16 on a GPU that has it, else fp32"
        )
    if precision == "fp16" and not torch.cuda.is_available():
        raise DeviceError("training in fp16 needs a CUDA GPU; choose fp32 or bf16")
    has_gpu = torch.cuda.is_available()
    if precision == "bf16" and has_gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise DeviceError("this GPU has no bf16; choose fp32, or fp16 where the model takes it")
    if precision == "bf16" and not has_gpu:
        warn_if_slower(None, "cpu", precision)


def add_lora(model: PreTrainedModel, rank: int, seed: int = 0) -> PeftModel:
    """Freeze a model and add low-rank adapters: ``W x`` becomes ``W x + 2 B A x``.

    Args:
        model: Any of the models.
        rank: Rows of ``A`` and columns of ``B``.
        seed: Of ``A``'s random values; ``B`` starts at zero, so that the model starts as it was.

    Returns:
        A peft model around the given one.

    Raises:
        MissingExtra: ``peft`` is not installed.

    Source:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.
    """
    check_installed(lora=True)
    if rank < 1:
        raise OptionError(f"the rank of LoRA is {rank}, expected at least 1")
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LORA_TARGETS
    )
    return get_peft_model(model, settings)


# Settings that change no weight: they may differ where a run goes on.
_WITHOUT_EFFECT = ("save_steps", "eval_steps", "generate", "beams", "rouge_tokenizer", "checkpointing")


def last_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint of a run that was written to its end; what a crash left half-written is passed over.

    ``Trainer`` writes ``trainer_state.json`` after everything else, so a checkpoint that has it is whole.
    """
    found = []
    for path in Path(folder).glob("checkpoint-*"):
        with contextlib.suppress(OSError, ValueError):
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            found.append((int(path.name.rsplit("-", 1)[1]), path))
    return max(found)[1] if found else None


def check_no_model(output: Path) -> None:
    """Refuse to write over a model.

    Raises:
        OptionError: The folder holds one.
    """
    found = [name for name in WEIGHT_FILES if (output / name).is_file()]
    if found:
        raise OptionError(f"{output} holds a model already ({found[0]}), which is left alone; choose another folder")


@contextlib.contextmanager
def whole_checkpoint(checkpoint: Path | None) -> Iterator[None]:
    """Say which checkpoint is to blame when the run that goes on from it cannot read it.

    Raises:
        CorruptCheckpoint: One of its files is damaged.
    """
    try:
        yield
    except (pickle.UnpicklingError, EOFError, RuntimeError, SafetensorError) as error:
        unread = isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error)
        if checkpoint is None or unread or no_room(error):  # what is full is written to, not read
            raise
        raise CorruptCheckpoint(
            f"{checkpoint} is damaged and cannot be gone on from; delete that folder, and the same command goes on "
            "from the checkpoint before it"
        ) from error


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Source | Sequence[Example],
    output: str | Path,
    settings: FineTuning | None = None,
    *,
    limit: int | None = None,
    evaluation: Source | Sequence[Example] | None = None,
    eval_limit: int | None = 100,
    resume: bool = False,
    accept_changes: bool = False,
    progress: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
) -> Seq2SeqTrainer:
    """Fine-tune a model and write it to a folder, with its tokenizer.

    Args:
        model: A summarization model with weights in fp32; trained in place. With LoRA the adapters are merged into it
            at the end and kept in ``output/adapter`` too.
        tokenizer: Its tokenizer.
        train: The documents to learn from.
        output: Folder for the checkpoints of the run (``checkpoint-<step>``) and, at the end, for the model.
        settings: How; None takes the defaults.
        limit: Documents of ``train``; None takes all. All of them are kept in memory, four bytes a token.
        evaluation: Documents to measure the loss on, and ROUGE if ``settings.generate``.
        eval_limit: Documents of ``evaluation``.
        resume: Go on from the last checkpoint in the folder; without one, start from the beginning.
        accept_changes: Go on although data, settings or the first weights are others; ``training.json`` has both.
        progress: Show a progress bar.
        callbacks: Further ``TrainerCallback`` objects.

    Returns:
        The ``Seq2SeqTrainer`` after training; ``.model`` is the model, ``.state.log_history`` the curve.

    Raises:
        MissingExtra: ``accelerate``, or for LoRA ``peft``, is not installed.
        OptionError: Settings make no sense, the folder holds a run and ``resume`` is not set, a run of something else,
            or another model, or another process is writing it.
        OSError: The disk is full.
        DeviceError: The machine has no such number format.
        CorruptCheckpoint: The checkpoint to go on from is damaged.

    Cost:
        Memory for weights, gradients and AdamW's two moments, 16 bytes a trained weight; and for the activations of one
        batch: with checkpointing one tensor (batch, document, d_model) a layer and the inside of one layer.
    """
    check_installed()
    from transformers import PrinterCallback, Seq2SeqTrainer

    from longsum_lib.loading.auto import quiet_transformers

    settings, output = settings or FineTuning(), check_folder(output, "output")
    check_precision(settings.precision, model.config)
    checkpoint = last_checkpoint(output) if output.is_dir() else None
    if checkpoint and not resume:
        raise OptionError(
            f"{output} holds {checkpoint.name} of an earlier run; ",
            Option("resume", True),
            " goes on with it, or choose another folder",
        )
    if not checkpoint:
        check_no_model(output)
    documents = _tokenized(train, limit, model, tokenizer, settings)
    held_out = None if evaluation is None else _tokenized(evaluation, eval_limit, model, tokenizer, settings)
    run = {name: value for name, value in dataclasses.asdict(settings).items() if name not in _WITHOUT_EFFECT}
    run |= {"data": content_of_documents(documents), "weights": content_of_weights(model)}
    with writing_to(output):
        changes = settle_run(output, run, checkpoint, accept_changes)
    # What peft wraps around a model hands on everything that is asked of that.
    trained = cast("PreTrainedModel", add_lora(model, settings.lora, settings.seed)) if settings.lora else model
    if settings.checkpointing:
        checkpointing_on(trained, {"use_reentrant": False})
    trainer = Seq2SeqTrainer(
        model=trained,
        args=_arguments(settings, output, held_out is not None, progress),
        train_dataset=documents,
        eval_dataset=held_out,
        data_collator=Collator(trained),
        processing_class=tokenizer,
        compute_loss_func=summary_loss,
        compute_metrics=_metrics(tokenizer, settings.rouge_tokenizer) if settings.generate else None,
        callbacks=list(callbacks),
    )
    if not progress:
        trainer.remove_callback(PrinterCallback)
    # Quiet: a bar for every file that is written.
    with writing_to(output), quiet_transformers(), whole_checkpoint(checkpoint):
        train_from(trainer, checkpoint)
        _finish(trainer, tokenizer, settings, output, changes)
    return trainer


def _tokenized(
    data: Source | Sequence[Example],
    limit: int | None,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    settings: FineTuning,
) -> TokenizedDocuments:
    from longsum_lib.loading.auto import max_input_tokens, max_summary_tokens, quiet_transformers

    examples = data.examples(limit) if isinstance(data, Source) else list(data)[:limit]
    longest = [n for n in (settings.max_input_tokens or MOST_INPUT_TOKENS, max_input_tokens(model.config)) if n]
    written = [n for n in (settings.max_summary_tokens or MOST_SUMMARY_TOKENS, max_summary_tokens(model.config)) if n]
    with quiet_transformers():  # a document that is cut is no surprise here
        documents = TokenizedDocuments(
            examples,
            tokenizer,
            max_input_tokens=min(longest),
            max_summary_tokens=min(written),
            start=start_token(model),
        )
    if not len(documents):
        raise OptionError("the data set has no documents")
    return documents


def _arguments(settings: FineTuning, output: Path, evaluates: bool, progress: bool) -> Any:
    from transformers import Seq2SeqTrainingArguments

    rate = settings.learning_rate or (1e-3 if settings.lora else 5e-5)
    when = ("steps" if settings.eval_steps else "epoch") if evaluates else "no"
    return Seq2SeqTrainingArguments(
        output_dir=str(output),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup,  # below 1 it is a share of all steps
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        eval_strategy=when,
        eval_steps=settings.eval_steps,
        predict_with_generate=settings.generate,
        generation_num_beams=settings.beams,
        logging_steps=min(10, settings.save_steps),
        save_steps=settings.save_steps,
        save_total_limit=2,
        seed=settings.seed,
        report_to=[],
        disable_tqdm=not progress,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
    )


def _metrics(tokenizer: PreTrainedTokenizerBase, rouge_tokenizer: str) -> Callable[[Any], dict[str, float]]:
    """ROUGE of the summaries that ``predict_with_generate`` wrote."""
    from longsum_lib.evaluation import rouge

    def text(rows: Any) -> list[str]:
        rows = [[token for token in row if token != IGNORED] for row in rows.tolist()]
        return [summary.replace("<n>", "\n") for summary in tokenizer.batch_decode(rows, skip_special_tokens=True)]

    def measure(prediction: Any) -> dict[str, float]:
        return rouge(text(prediction.label_ids), text(prediction.predictions), tokenizer=rouge_tokenizer)

    return measure


def _save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter so that each of its files is whole at any moment.

    peft adds to a model card that it finds, and so to half of one that a killed run has left.
    """
    folder.mkdir(exist_ok=True)
    with work_folder(folder) as parts:
        whole, card = parts / "whole", folder / "README.md"
        whole.mkdir()
        if card.is_file():
            shutil.copyfile(card, whole / card.name)
        model.save_pretrained(whole)
        for file in whole.iterdir():
            file.replace(folder / file.name)


def _finish(
    trainer: Any, tokenizer: PreTrainedTokenizerBase, settings: FineTuning, output: Path, changes: list[dict[str, Any]]
) -> None:
    """Write the model for use, from one process alone: weights with merged adapters, tokenizer, settings, curve."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if settings.lora:
        if trainer.is_world_process_zero():
            _save_adapter(model, output / "adapter")
        model = model.merge_and_unload()
    checkpointing_off(model)
    model.config.use_cache = True  # the trainer turns it off
    trainer.model = model.eval()
    if not trainer.is_world_process_zero():
        return
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    curve = [[entry["step"], round(entry["loss"], 4)] for entry in trainer.state.log_history if "loss" in entry]
    record: dict[str, Any] = {"settings": dataclasses.asdict(settings), "step_and_loss": curve}
    if changes:
        record["changes"] = changes
    record["evaluations"] = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    (output / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
