"""``python -m longsum_lib`` is the command ``longsum``."""

import sys

from longsum_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
