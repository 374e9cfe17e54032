"""The device under test: CUDA, or a pretended GPU, which takes the same ways through the code, without the kernels."""

import os

import pytest
import torch

from longsum_lib.attention.engine.kernels import fused_cuda
from longsum_lib.attention.sliding_window import attention as sliding_window
from longsum_lib.models.core.step import recorded

# ``LONGSUM_GPU=pretended`` pretends one where there is one, too.
REAL = torch.cuda.is_available() and os.environ.get("LONGSUM_GPU") != "pretended"


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the models run."""
    return torch.device("cuda")


@pytest.fixture(scope="session")
def real() -> bool:
    """Whether there is a GPU; what only a GPU can show is skipped without one."""
    return REAL


@pytest.fixture(autouse=True)
def card(request):
    """The pretended card, if it is one: a T4 (7, 5), unless the test is marked ``card`` with another capability."""
    if REAL:
        yield None
        return
    from tools.pretend_gpu import pretended_gpu

    for refused in (fused_cuda._REFUSED, recorded._REFUSED, sliding_window._REFUSED):
        refused.clear()
    marker = request.node.get_closest_marker("card")
    with pretended_gpu(marker.args[0] if marker else (7, 5)) as card:
        yield card


@pytest.fixture(autouse=True)
def full_precision(real):
    """Products in fp32 are fp32 here, not TF32, so that numbers can be held to those of a CPU."""
    if real:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    yield
    if real:
        torch.cuda.empty_cache()
