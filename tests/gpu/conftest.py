"""The device under test: CUDA, or the CPU as a stand-in, which proves the tests and no kernel."""

import os

import pytest
import torch

STAND_IN = os.environ.get("LONGSUM_GPU_STAND_IN") == "cpu"


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the models run."""
    return torch.device("cpu" if STAND_IN else "cuda")


@pytest.fixture(scope="session")
def real() -> bool:
    """Whether there is a GPU; what only a GPU can show is skipped without one."""
    return not STAND_IN


@pytest.fixture(autouse=True)
def full_precision(real):
    """Products in fp32 are fp32 here, not TF32, so that numbers can be held to those of a CPU."""
    if real:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    yield
    if real:
        torch.cuda.empty_cache()
