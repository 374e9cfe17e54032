"""What every test shares: no network, one thread, fixed seeds, and skips for what a machine lacks."""

import logging
import os
import shutil
from collections.abc import Iterator

import pytest
import torch

# Before transformers or datasets are imported anywhere: a test that reaches for the hub fails at once.
NETWORK = os.environ.get("LONGSUM_NETWORK") == "1"
if not NETWORK:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

try:
    import hypothesis
except ImportError:  # a lent machine with a GPU may have pytest alone; `tests/gpu` needs no more
    hypothesis = None

# Same examples on every machine and every run; a busy machine never fails a test by being slow.
if hypothesis:
    hypothesis.settings.register_profile(
        "longsum",
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=25,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("longsum")

# Results must not depend on how many cores a machine has.
torch.set_num_threads(1)

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """Path of a Chromium to drive, from ``CHROMIUM`` or the search path; ``None`` where there is none."""
    configured = os.environ.get("CHROMIUM")
    if configured:
        return configured
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def find_firefox() -> str | None:
    """Path of a Firefox to drive, from ``FIREFOX`` or the search path; ``None`` where there is none."""
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, each with its reason."""
    skips = {
        "gpu": (torch.cuda.is_available(), "needs a CUDA device"),
        "network": (NETWORK, "needs the network; set LONGSUM_NETWORK=1"),
        "browser": (find_chromium() is not None, "needs Chromium; install it or set CHROMIUM to its path"),
        "firefox": (find_firefox() is not None, "needs Firefox; install it or set FIREFOX to its path"),
    }
    for item in items:
        for marker, (available, reason) in skips.items():
            pretended = marker == "gpu" and "card" in getattr(item, "fixturenames", ())  # see tests/gpu/conftest.py
            if item.get_closest_marker(marker) and not available and not pretended:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def seed() -> None:
    """Draw the same random numbers in a test whatever ran before it."""
    torch.manual_seed(0)


def shared_state() -> dict[str, object]:
    """What a test could leave changed for all that run after it in the same process."""
    return {
        "logging.disable": logging.root.manager.disable,
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "folder": os.getcwd(),
    }


@pytest.fixture(autouse=True)
def left_as_found(seed: None) -> Iterator[None]:
    """Fail the test that changes what others share, not the one that happens to run after it."""
    before, environment = shared_state(), dict(os.environ)
    yield
    environment["PYTEST_CURRENT_TEST"] = os.environ["PYTEST_CURRENT_TEST"]
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]  # what a command set for its own process, called here in ours
    os.environ.update(environment)
    assert shared_state() == before, "this test left a global setting changed; restore it"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium that the tests marked ``browser`` drive."""
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium")
    return path


@pytest.fixture(scope="session")
def firefox() -> str:
    """Path of the Firefox that the tests marked ``firefox`` drive."""
    path = find_firefox()
    if path is None:
        pytest.skip("needs Firefox")
    return path
