#!/usr/bin/env bash
# A disk that is full is an OSError for none of the three libraries that write a checkpoint.
#
# Guess: who writes weights, an optimizer's state or a tokenizer to a full disk gets an OSError with errno and the
#   file's name, as from Python's own open(); `except OSError` is enough to say so and to go on later.
# What happens: torch.save raises a RuntimeError about an "unexpected pos" that says nothing of a disk, safetensors a
#   SafetensorError and tokenizers a bare Exception. Only the texts of the latter two have the system's words in
#   them; none has errno or the name of the file.
# Versions: torch 2.13.0, safetensors 0.8.0, tokenizers 0.23.3, Python 3.11 on Linux; run on 2026-11-29.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import errno
import resource

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

weights = {"weight": torch.zeros(100, 100)}  # 40,000 bytes
words = Tokenizer(models.WordLevel({f"word{n}": n for n in range(3000)}, unk_token="word0"))


def by_python(path):
    with open(path, "wb", buffering=0) as file:
        left = memoryview(bytes(40_000))
        while left:
            left = left[file.write(left) :]


ways = {
    "open().write": by_python,
    "torch.save": lambda path: torch.save(weights, path),
    "safetensors": lambda path: save_file(weights, path),
    "tokenizers": words.save,
}
raised = {}
for name, save in ways.items():
    raised[name] = []
    for most in range(64, 36_000, 1_111):  # no file may grow beyond this: the disk is full there
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        try:
            save("file")
        except Exception as error:
            raised[name].append(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(raised[name]) == 33, f"{name} noticed {len(raised[name])} of 33"
    print(f"{name}: {type(raised[name][0]).__name__}: {str(raised[name][0]).splitlines()[0][:100]}")

assert all(isinstance(error, OSError) and error.errno == errno.EFBIG for error in raised.pop("open().write"))
for name, errors in raised.items():
    assert not any(isinstance(error, OSError) or hasattr(error, "errno") for error in errors), f"{name} raises OSError"
assert not any("too large" in str(error) or "space" in str(error) for error in raised["torch.save"])
PYTHON
