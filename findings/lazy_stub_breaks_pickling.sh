#!/usr/bin/env bash
# A package with lazy_loader's stub cannot be named by a pickled function if one of its names is that of its file.
#
# Guess: a package whose names are loaded lazily from a stub pickles as any other does: by its name, so that
#   functions that use it can be sent to other processes (Ray, Dask, joblib send them with cloudpickle).
# What happens: where a public name equals the file that defines it (a function `score` in `score.py`), the package
#   becomes an object of a guarding class that is no plain module, and cloudpickle refuses every function that
#   names the package. Without such a name all is well.
# Versions: lazy_loader 0.6, cloudpickle 3.1.3, Python 3.11; run on 2026-11-28.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile lazy_loader==0.6 cloudpickle==3.1.3
cd "$work"
for package in alike apart; do
    mkdir "$package"
    printf 'import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n' >"$package/__init__.py"
done
printf 'def score():\n    return 1\n' | tee alike/score.py >apart/scoring.py
echo 'from .score import score' >alike/__init__.pyi
echo 'from .scoring import score' >apart/__init__.pyi
"$work/venv/bin/python" - <<'PYTHON'
import alike
import apart
import cloudpickle

assert alike.score() == apart.score() == 1
print("classes:", type(alike).__name__, "and", type(apart).__name__)
cloudpickle.dumps(lambda: apart.score())
print("the name is not its file's: pickled")
try:
    cloudpickle.dumps(lambda: alike.score())
except TypeError as error:
    print("the name is its file's:", error)
else:
    raise SystemExit("changed: both are pickled")
PYTHON
