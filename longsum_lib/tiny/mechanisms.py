"""Names of the mechanisms that there are tiny models of; imports no torch, so that the command can name them."""

MECHANISMS = ("led", "pegasus-x", "longt5", "lsg")
"""The keys of :data:`~longsum_lib.tiny.recipes.TINY_MODELS`."""
