"""Errors and warnings of the library as one line, with options spelled as they are typed."""

from __future__ import annotations

import errno
import os
import re

from longsum_lib.errors import LongsumError, OptionError, is_out_of_memory

# Options that messages of the library name as in Python.
_PYTHON_NAMES = (
    *("max_new_tokens", "min_new_tokens", "num_beams", "no_repeat_ngram_size", "max_input_tokens", "batch_size"),
    *("text_column", "id_column", "summary_column", "max_summary_tokens", "save_steps", "eval_steps", "learning_rate"),
    *("extract_first", "max_length", "block_size", "sparse_block_size", "sparsity_factor", "num_global_tokens"),
    *("gpus_per_worker", "global_positional_stride", "mask_first_token", "pool_with_global"),
)


def explain(error: Exception) -> str:
    """Return what went wrong in one line."""
    if isinstance(error, OptionError):
        return with_dashes(str(error))
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


def with_dashes(message: str) -> str:
    """Spell option names as they are typed here: ``--num-beams`` for ``num_beams``."""
    message = message.replace("set strict_geometry=False", "give --no-strict-geometry")
    message = message.replace("resize_lsg=True", "--resize-lsg")
    for name in _PYTHON_NAMES:
        message = re.sub(rf"(?<![\w.-]){name}(?![\w=])", "--" + name.replace("_", "-"), message)
    return message
