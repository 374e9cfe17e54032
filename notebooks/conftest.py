"""Check the notebooks in the environment that their stored outputs were made in."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from notebooks import ENVIRONMENT

os.environ.update(ENVIRONMENT)  # the kernels inherit it
