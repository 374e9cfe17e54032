"""The command ``longsum``; a file a subcommand in ``commands``."""

from longsum_lib.cli.entry import build_parser, main

__all__ = ["build_parser", "main"]
