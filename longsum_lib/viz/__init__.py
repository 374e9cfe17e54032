"""Pictures (matplotlib) and explorers (HTML, ipywidgets) of attention patterns."""

from longsum_lib._lazy import attach

_EXPORTS: dict[str, str] = {}

__all__ = attach(__name__, _EXPORTS)
