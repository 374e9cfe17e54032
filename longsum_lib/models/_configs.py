"""Configurations of transformers under this package's names; a stub may name modules of its own package only."""

from transformers import LEDConfig as LEDConfig
from transformers import LongT5Config as LongT5Config
from transformers import PegasusXConfig as PegasusXConfig
