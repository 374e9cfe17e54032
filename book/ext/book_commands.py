"""Sphinx extension: the directive `command-help`, the help text of `longsum` and its subcommands as the code has it."""

from __future__ import annotations

import contextlib
import io
import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CommandHelp(SphinxDirective):
    """The help of one subcommand (the argument), or of the command itself."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the help text as a literal block."""
        words = [*self.arguments, "--help"]
        return [nodes.literal_block(text=help_text(words), language="text")]


def help_text(words: list[str]) -> str:
    """Return what `longsum WORDS` prints, 84 columns wide."""
    from longsum_lib import cli

    os.environ["COLUMNS"] = "84"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.build_parser(words).parse_args(words)
    return printed.getvalue().strip()


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
