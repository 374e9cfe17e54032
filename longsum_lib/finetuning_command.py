"""``longsum train MODEL --dataset NAME``: arguments and how they become a fine-tuning."""

from __future__ import annotations

import argparse
import os
import sys

from longsum_lib.errors import OptionError
from longsum_lib.evaluation.command import add_data_arguments, at_least
from longsum_lib.evaluation.datasets import CORPUS, Source
from longsum_lib.finetuning import FineTuning, fine_tune

_OWN = ("epochs", "batch_size", "accumulation", "precision", "lora", "max_input_tokens", "max_summary_tokens")
_OWN += ("eval_steps", "generate", "beams", "warmup")


def add_finetune_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``longsum train`` that belong to fine-tuning; ``--steps``, ``--output`` … are shared."""
    start = parser.add_argument_group("fine-tuning of a trained model (with --dataset)")
    defaults = FineTuning()
    add = start.add_argument
    add("base", nargs="?", metavar="MODEL", help="bundled name, folder or hub name of the model to start from")
    add("--dataset", metavar="NAME", help="a file (.jsonl, .csv, .tsv, .parquet), a name on the hub, or corpus")
    add_data_arguments(start)
    add("--split", default="train", metavar="NAME", help="of the corpus or hub data set (default: train)")
    add("--limit", type=at_least(1), metavar="N", help="documents (default: all; of the corpus 1,000)")
    add("--length", type=at_least(1), default=1024, metavar="N", help="corpus: tokens of the documents (default: 1024)")
    add("--eval-dataset", metavar="NAME", help="documents to measure on meanwhile (default: none)")
    add("--eval-split", default="validation", metavar="NAME", help="of the hub data set (default: validation)")
    add("--eval-limit", type=at_least(1), default=100, metavar="N", help="documents (default: 100)")
    add("--eval-steps", type=at_least(1), metavar="N", help="steps between two evaluations (default: an epoch)")
    add("--generate", action="store_true", help="evaluation writes summaries and scores ROUGE")
    add("--beams", type=at_least(1), default=1, metavar="N", help="beams of these summaries (default: 1)")
    add("--epochs", type=float, default=defaults.epochs, metavar="N", help="times through the data (default: 1)")
    add("--batch-size", type=at_least(1), default=1, metavar="N", help="documents in memory at a time (default: 1)")
    add(
        "--accumulation",
        type=at_least(1),
        default=defaults.accumulation,
        metavar="N",
        help=f"batches whose gradients make one step (default: {defaults.accumulation})",
    )
    add("--warmup", type=float, default=defaults.warmup, metavar="X", help="share of steps (default: 0.05)")
    add("--precision", default="fp32", choices=("fp32", "bf16", "fp16"), help="of the products (default: fp32)")
    add("--no-checkpointing", action="store_true", help="keep all activations: faster, needs much more memory")
    add("--lora", type=at_least(0), default=0, metavar="RANK", help="train low-rank adapters instead of all weights")
    add("--max-input-tokens", type=at_least(2), metavar="N", help="cut documents (default: what the model takes)")
    add("--max-summary-tokens", type=at_least(2), metavar="N", help="cut summaries (default: what the model writes)")


def run_finetune(args: argparse.Namespace) -> int:
    """Fine-tune as the command line says."""
    if args.base is None:
        raise OptionError("which model shall be fine-tuned? longsum train MODEL --dataset NAME --output FOLDER")
    if args.dataset is None:
        raise OptionError(f"fine-tuning {args.base} needs --dataset: a file, a name on the hub, or corpus")
    settings = FineTuning(
        **{name: getattr(args, name) for name in _OWN},
        steps=args.steps,
        learning_rate=args.learning_rate,
        checkpointing=not args.no_checkpointing,
        save_steps=args.save_steps,
        seed=args.seed or 0,
    )
    columns = {"config": args.config, "text_column": args.text_column, "summary_column": args.summary_column}
    train = Source(args.dataset, split=args.split, length=args.length, first_seed=0, **columns)
    held_out = None
    if args.eval_dataset:
        split = "test" if args.eval_dataset == CORPUS else args.eval_split
        held_out = Source(args.eval_dataset, split=split, length=args.length, **columns)
    from longsum_lib.terminal import quiet_libraries

    quiet_libraries()
    from longsum_lib.models.auto import load, load_tokenizer

    # Weights in fp32 on the CPU: the trainer moves them, each process to its own device.
    model, tokenizer = load(args.base, device="cpu", dtype="fp32"), load_tokenizer(args.base)
    try:
        fine_tune(
            model,
            tokenizer,
            train,
            args.output,
            settings,
            limit=args.limit or (1000 if args.dataset == CORPUS else None),
            evaluation=held_out,
            eval_limit=args.eval_limit,
            resume=args.resume,
            progress=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        _say(f"stopped; the same command with --resume goes on from the last checkpoint in {args.output}")
        return 130
    _say(f"the model is in {args.output}; longsum evaluate --model {args.output} --dataset … measures it")
    return 0


def _say(message: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks for all
        print(f"longsum: {message}", file=sys.stderr)
