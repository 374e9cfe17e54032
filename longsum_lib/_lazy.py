"""Public names that are imported when they are first used."""

import importlib
import sys
import types
from collections.abc import Iterable, Mapping


def attach(package: str, exports: Mapping[str, str], submodules: Iterable[str] = ()) -> list[str]:
    """Give a package lazy public names, so that importing it imports nothing heavy.

    A name may equal the submodule that defines it (``longsum_lib.summarize.summarize``). Python's import
    system then binds the module on the package as soon as anything imports it; here the function wins,
    whatever was imported first. The module is still there as ``sys.modules["longsum_lib.summarize"]``, and
    ``from longsum_lib.summarize import Summary`` works as always.

    Args:
        package: The package's ``__name__``.
        exports: Public name -> absolute name of the module that defines it.
        submodules: Names of submodules that attribute access may import.

    Returns:
        The sorted public names, to be bound to ``__all__``.
    """
    submodules = frozenset(submodules)

    class LazyPackage(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            if name in exports:
                value = getattr(importlib.import_module(exports[name]), name)
            elif name in submodules:
                value = importlib.import_module(f"{package}.{name}")
            else:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            setattr(self, name, value)
            return value

        def __setattr__(self, name: str, value: object) -> None:
            if isinstance(value, types.ModuleType) and exports.get(name) == value.__name__:
                value = getattr(value, name)
            super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return sorted({*super().__dir__(), *exports, *submodules})

    sys.modules[package].__class__ = LazyPackage
    return sorted(exports)
