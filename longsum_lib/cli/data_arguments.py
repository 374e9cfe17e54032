"""Arguments that name a data set."""

import argparse


def add_data_arguments(parser: argparse._ActionsContainer) -> None:
    """Arguments that name a data set, the same for evaluation and fine-tuning."""
    parser.add_argument("--config", metavar="NAME", help="the hub data set's configuration, such as document")
    parser.add_argument("--text-column", metavar="NAME", help="column of the documents (default: a usual name)")
    parser.add_argument("--summary-column", metavar="NAME", help="column of the summaries (default: a usual name)")
    gaps = "stop at a row without text or summary (default: leave it out)"
    parser.add_argument("--strict", action="store_true", default=False, help=gaps)
