"""Ctrl-C, whenever it comes: one line, and the exit code 130.

Python raises ``KeyboardInterrupt`` in whatever line is running. In a finalizer or a callback of C code it is printed
and forgotten, and the run goes on; in the middle of an import it may come out as an ``ImportError``.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from types import FrameType, TracebackType

INTERRUPTED = 130
_AGAIN_SECONDS = 0.05


class Interrupts:
    """Notes interruptions while a command runs, and raises those again that were swallowed on their way.

    Use it as a context manager, in the main thread; in another one it does nothing, as signals do not come there.

    Attributes:
        came: Whether there was an interruption.
    """

    def __init__(self) -> None:
        self.came = False
        self._said = False

    def __enter__(self) -> Interrupts:
        self._before_hook = sys.unraisablehook
        self._before = None
        with contextlib.suppress(ValueError):  # not the main thread
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as with nohup and "&"
                self._before = signal.signal(signal.SIGINT, self._note)
                sys.unraisablehook = self._raise_again
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        sys.unraisablehook = self._before_hook
        if self._before is not None:
            # The process is about to end: a Ctrl-C now shall not make a traceback of that.
            signal.signal(signal.SIGINT, signal.SIG_IGN if _is_the_process() else self._before)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _raise_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            self._before_hook(unraisable)
            return
        # Here it would be swallowed once more; a moment later the main thread is elsewhere.
        timer = threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    def say_so(self) -> None:
        """Print the line, once."""
        if not self._said:
            self._said = True
            with contextlib.suppress(OSError, ValueError, AttributeError):
                print("longsum: interrupted", file=sys.stderr, flush=True)


def _is_the_process() -> bool:
    """Whether the command is the whole program, and not called by another one."""
    main = sys.modules.get("__main__")
    name = str(getattr(main, "__file__", None) or "")
    return name.endswith(("longsum_lib/__main__.py", "longsum_lib\\__main__.py", "longsum", "longsum.exe"))
