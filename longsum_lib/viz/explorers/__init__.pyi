"""The public names of this package, for Python and for type checkers alike."""

from .base import Explorer as Explorer
from .cost import CostCalculator as CostCalculator
from .live import LiveSummarizer as LiveSummarizer
from .mask import MaskExplorer as MaskExplorer
from .merge import MergeExplorer as MergeExplorer
from .reach import ReachExplorer as ReachExplorer
from .summary_source import SummarySourceExplorer as SummarySourceExplorer
