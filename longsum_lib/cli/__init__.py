"""The command ``longsum``; a file a subcommand in ``commands``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def build_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Build the parser: see :func:`longsum_lib.cli.entry.build_parser`."""
    from longsum_lib.cli import entry

    return entry.build_parser(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: see :func:`longsum_lib.cli.entry.main`.

    From here on an interruption (Ctrl-C) is one line and code 130, while modules are imported too.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    try:
        from longsum_lib.cli.interrupts import INTERRUPTED, Interrupts
    except KeyboardInterrupt:  # before the module that knows how to say it
        import sys

        sys.stderr.write("longsum: interrupted\n")
        return 130
    with Interrupts() as interrupts:
        try:
            from longsum_lib.cli import entry

            code = entry.main(arguments, interrupts)
        except BaseException as error:
            if not interrupts.came or isinstance(error, SystemExit):
                raise
            code = INTERRUPTED
            interrupts.say_so()
        if interrupts.came and code != INTERRUPTED:  # swallowed on its way, by code that catches everything
            code = INTERRUPTED
            interrupts.say_so()
    return code
