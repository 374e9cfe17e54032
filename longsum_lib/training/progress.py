"""How far a training is, in lines: for log files, notebooks and other places that are no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from longsum_lib.terminal import SECONDS_BETWEEN_LINES, say

if TYPE_CHECKING:
    from transformers import TrainerCallback


def lines_of_progress(tell: Callable[[str], None] = say, seconds: float = SECONDS_BETWEEN_LINES) -> TrainerCallback:
    """Make a callback of transformers' ``Trainer`` that says now and then which step it is at, and the loss.

    Args:
        tell: Gets each line.
        seconds: The shortest time between two lines.
    """
    from transformers import TrainerCallback

    class Lines(TrainerCallback):
        def __init__(self) -> None:
            self.last, self.loss = time.monotonic(), ""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                self.loss = f", loss {float(logs['loss']):.3f}"

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero and time.monotonic() - self.last >= seconds:
                self.last = time.monotonic()
                tell(f"step {state.global_step:,} of {state.max_steps:,}{self.loss}")

    return Lines()
