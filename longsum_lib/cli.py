"""The command ``longsum``: summaries, models, training and evaluation from a terminal.

Nothing heavy is imported before the arguments are parsed, so ``longsum --help`` answers at once. Whatever
goes wrong is one line on standard error and an exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. When
the reader of standard output leaves early, as ``| head`` does, the command ends without a word with code 141: what a
shell reports of a program that the signal SIGPIPE (13) ended.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from longsum_lib.errors import (
    DocumentError,
    DocumentTooLong,
    ForeignText,
    LongsumError,
    LongsumWarning,
    MissingExtra,
    OptionError,
    is_out_of_memory,
)
from longsum_lib.generation.command import add_summarize_arguments
from longsum_lib.generation.evidence.command import check_evidence_options, find_evidence
from longsum_lib.generation.jobs.arguments import is_job
from longsum_lib.terminal import say
from longsum_lib.upstream.openmp import let_threads_sleep

if TYPE_CHECKING:
    from longsum_lib.generation.document_text import DocumentText

DEFAULT_MODEL = "led-tiny"
EXTRACT = "extract"

INTERRUPTED = 130
PIPE_CLOSED = 141

# Options that messages of the library name as in Python.
_PYTHON_NAMES = (
    *("max_new_tokens", "min_new_tokens", "num_beams", "no_repeat_ngram_size", "max_input_tokens", "batch_size"),
    *("text_column", "id_column", "summary_column", "max_summary_tokens", "save_steps", "eval_steps", "learning_rate"),
    *("extract_first", "max_length", "block_size", "sparse_block_size", "sparsity_factor", "num_global_tokens"),
    *("global_positional_stride", "mask_first_token", "pool_with_global"),
)

EXAMPLES = """\
examples:
  longsum summarize report.pdf                       sentences of the report, word for word
  longsum summarize report.pdf --cite --check        with their pages, and what the report does not have
  longsum summarize report.txt --model allenai/led-large-16384-arxiv --num-beams 4
  cat report.txt | longsum summarize - --output json
  longsum summarize long.txt --split                 a text that is longer than the model takes
  longsum models                                     which models there are
"""

# Subcommand -> its module, and what it does. The module has add_<command>_arguments and run_<command>,
# a dash in the command's name being an underscore there.
OTHER_COMMANDS = {
    "train": ("longsum_lib.training", "train or fine-tune a model, by default a tiny one on the synthetic corpus"),
    "evaluate": ("longsum_lib.evaluation", "measure a model's summaries on held-out documents"),
    "convert-lsg": (
        "longsum_lib.models.lsg_convert",
        "give a model local, sparse and global attention for long inputs",
    ),
    "download": ("longsum_lib.models.download_command", "bring a model of the hub into a folder, to use it offline"),
    "memory": ("longsum_lib.memory", "predict the memory that a summary takes, and the longest input that fits"),
    "corpus": ("longsum_lib.corpus", "write synthetic documents with reference summaries"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage or a text that the bundled model named does not know, 130
        interrupted, 141 standard output closed by its reader.
    """
    let_threads_sleep()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its number, not a traceback.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _plain_warnings():
            arguments = sys.argv[1:] if arguments is None else list(arguments)
            options = _parse(arguments)
            code = options.run(options)
            _flush_output()
            return int(code or 0)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except Exception as error:
        if os.environ.get("LONGSUM_DEBUG"):
            raise
        say(_explain(error))
        _drop_what_is_left()
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    try:
        return build_parser(arguments).parse_args(arguments)
    except SystemExit:  # after --help and --version
        _flush_output()
        raise


def _flush_output() -> None:
    """Write out what is left; a full disk shows here at the latest."""
    if sys.stdout is not None:  # it is None if the caller closed it: longsum ... >&-
        sys.stdout.flush()


def _drop_what_is_left() -> None:
    try:
        _flush_output()
    except OSError:
        _drop_output()


def _drop_output() -> None:
    """Python flushes standard output once more at exit; let that go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: Exception) -> str:
    if isinstance(error, OptionError):
        return _with_dashes(str(error))
    if isinstance(error, LongsumError):
        return str(error)
    if is_out_of_memory(error):
        return "not enough memory; what helps: shorter documents, fewer beams, a smaller model"
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, OSError):
        if error.filename and error.strerror:
            return f"{os.fsdecode(error.filename)}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"cannot write: {error.strerror}"
        return lines[0].partition("] ")[2] or lines[0]
    return f"unexpected {type(error).__name__}: {lines[0]} (LONGSUM_DEBUG=1 shows where it happened)"


def _with_dashes(message: str) -> str:
    """Spell option names as they are typed here: ``--num-beams`` for ``num_beams``."""
    message = message.replace("set strict_geometry=False", "give --no-strict-geometry")
    message = message.replace("resize_lsg=True", "--resize-lsg")
    for name in _PYTHON_NAMES:
        message = re.sub(rf"(?<![\w.-]){name}(?![\w=])", "--" + name.replace("_", "-"), message)
    return message


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show this library's warnings as one line each, once, and no one else's."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, LongsumWarning) and str(message) not in shown:
            shown.add(str(message))
            say(f"warning: {_with_dashes(str(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", LongsumWarning)
        warnings.showwarning = show
        yield


class _Parser(argparse.ArgumentParser):
    """A parser that reports wrong usage as one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{message} (see: {self.prog} --help)")
        raise SystemExit(2)


def build_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Build the parser.

    Args:
        arguments: The command line. Of the subcommands that live in modules of their own, only the one that
            is asked for is imported.
    """
    parser = _Parser(
        prog="longsum",
        description="Summaries of long documents with efficient attention.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.set_defaults(run=lambda _: _no_command(parser))
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser)
    _add_summarize(commands)
    models = commands.add_parser("models", help="list the bundled models and models of the hub", allow_abbrev=False)
    models.set_defaults(run=lambda _: importlib.import_module("longsum_lib.models.listing").print_models())
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, purpose) in OTHER_COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".", allow_abbrev=False
        )
        if name == asked:
            module = importlib.import_module(module_name)
            stem = name.replace("-", "_")
            getattr(module, f"add_{stem}_arguments")(command)
            command.set_defaults(run=getattr(module, f"run_{stem}"))
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from longsum_lib import __version__

        print(f"longsum {__version__}")
        parser.exit()


def _no_command(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


def _add_summarize(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "summarize",
        help="summarize documents",
        description="Summarize documents. Standard output gets the summaries and nothing else.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_summarize)
    add_summarize_arguments(parser, DEFAULT_MODEL)


def _summarize(options: argparse.Namespace) -> int:
    from longsum_lib.reading import check_encoding

    check_encoding(options.encoding or "utf-8")
    if is_job(options):
        from longsum_lib.generation.jobs.command import run_summarize_job

        return run_summarize_job(options, DEFAULT_MODEL)
    files = options.files
    check_evidence_options(options, len(files))
    if not files:
        if sys.stdin is None or sys.stdin.isatty():
            raise DocumentError("give a FILE, or - for standard input (see: longsum summarize --help)")
        files = ["-"]
    texts, failed = _read_all(files, options)
    if not texts:
        return 1
    from longsum_lib.generation.printing import print_summary
    from longsum_lib.terminal import TerminalProgress, quiet_libraries

    quiet_libraries()
    code = int(failed)
    with TerminalProgress() as progress:
        chosen = _choose_models(options, texts)
        code = code if len(chosen) == len(texts) else 2
        named = next((model for _, _, model in chosen if model != EXTRACT), None)
        model = tokenizer = None
        if named is not None:
            progress.show(f"loading {named}")
            from longsum_lib.models.auto import load, load_tokenizer

            model = load(named, device=options.device, dtype=options.dtype, quantization=options.quantize)
            tokenizer = load_tokenizer(named)
        first = True
        for name, text, choice in chosen:
            try:
                summary = _summarize_one(options, choice, model, tokenizer, name, text, progress)
            except LongsumError as error:
                progress.clear()
                code = max(code, 1)
                _report(name, error, several=len(files) > 1)
                continue
            progress.clear()
            evidence = find_evidence(options, text, summary, model, tokenizer)
            several = len(texts) > 1
            print_summary(summary, name, options.output, first, options.model is None, evidence, heading=several)
            first = False
    return code


def _choose_models(
    options: argparse.Namespace, texts: Sequence[tuple[str, DocumentText]]
) -> list[tuple[str, DocumentText, str]]:
    """Add the model of each text; report those that a bundled model would have to invent something about."""
    from longsum_lib.generation.choose import is_foreign, model_for

    chosen = []
    for name, text in texts:
        try:
            chosen.append((name, text, model_for(is_foreign(text.text), options.model, DEFAULT_MODEL, options.anyway)))
        except ForeignText as error:
            _report(name, error, several=len(texts) > 1)
    return chosen


def _read_all(files: Sequence[str], options: argparse.Namespace) -> tuple[list[tuple[str, DocumentText]], bool]:
    """Read every file that can be read; report the others. Nothing is loaded before that."""
    from longsum_lib.generation.documents import read_document

    texts, failed = [], False
    for name in files:
        try:
            if name == "-" and sys.stdin is not None and sys.stdin.isatty():
                say("reading from the keyboard; end with Ctrl-D")
            document = read_document(name, options.encoding, speakers=options.speakers, times=options.times)
            texts.append((name, document))
        except (DocumentError, MissingExtra) as error:
            say(str(error))
            failed = True
    return texts, failed


def _summarize_one(
    options: argparse.Namespace, choice: str, model, tokenizer, name: str, text: DocumentText, progress
) -> object:
    from longsum_lib.summarize import summarize

    progress.start(name)
    how = {"truncate": options.truncate, "split": options.split, "extract_first": options.extract_first}
    writing = {
        "max_new_tokens": options.max_new_tokens,
        "min_new_tokens": options.min_new_tokens,
        "num_beams": options.num_beams,
        "no_repeat_ngram_size": options.no_repeat_ngram_size,
    }
    if choice == EXTRACT:
        given = {"device": options.device, "dtype": options.dtype}
        loading = {key: None if value == "auto" else value for key, value in given.items()}
        return summarize(text, EXTRACT, **writing, **how, **loading, quantization=options.quantize)
    shown = progress if progress.visible else None
    anyway = options.anyway
    return summarize(text, model, tokenizer=tokenizer, anyway=anyway, progress=shown, **writing, **how)


def _report(name: str, error: LongsumError, several: bool) -> None:
    message = _explain(error)
    if isinstance(error, DocumentTooLong):
        message = error.describe("--truncate", "--split", "--extract-first")
    if isinstance(error, ForeignText):
        message = error.describe("--anyway", "--model extract")
    say(f"{name}: {message}" if several else message)
