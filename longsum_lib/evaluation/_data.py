"""What is evaluated, under this package's names; a stub may name modules of its own package only."""

from longsum_lib.datasets import Example as Example
from longsum_lib.datasets import Source as Source
