"""``python -m benchmarks quick`` or ``full``."""

from .run import main

main()
