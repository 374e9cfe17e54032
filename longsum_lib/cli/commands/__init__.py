"""The subcommands, a file each: ``add`` declares the arguments, ``run`` does the work and returns the exit code."""

COMMANDS = {
    "summarize": "summarize documents; standard output gets the summaries and nothing else",
    "models": "list the bundled models and models of the hub",
    "train": "train or fine-tune a model, by default a tiny one on the synthetic corpus",
    "evaluate": "measure a model's summaries on held-out documents",
    "convert-lsg": "give a model local, sparse and global attention for long inputs",
    "download": "bring a model of the hub into a folder, to use it offline",
    "memory": "predict the memory that a summary takes, and the longest input that fits",
    "corpus": "write synthetic documents with reference summaries",
}
"""Subcommand -> what it does. Its module has its name, a dash being an underscore; it is imported when asked for."""
