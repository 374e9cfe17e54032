"""Public names that are imported when they are first used."""

import importlib
import sys
import types
from collections.abc import Iterable, Mapping


def attach(package: str, exports: Mapping[str, str], submodules: Iterable[str] = ()) -> list[str]:
    """Give a package lazy public names, so that importing it imports nothing heavy.

    A name may equal the submodule that defines it (``longsum_lib.generation.summarize.summarize``). Python's import
    system then binds the module on the package as soon as anything imports it; here the function wins,
    whatever was imported first. The module is still there as ``sys.modules["longsum_lib.generation.summarize"]``, and
    ``from longsum_lib.generation.summarize import Summary`` works as always.

    Args:
        package: The package's ``__name__``.
        exports: Public name -> absolute name of the module that defines it.
        submodules: Names of submodules that attribute access may import.

    Returns:
        The sorted public names, to be bound to ``__all__``.
    """
    module = sys.modules[package]
    vars(module).update(_exports=dict(exports), _submodules=frozenset(submodules))
    module.__class__ = LazyPackage
    return sorted(exports)


class LazyPackage(types.ModuleType):
    """A package that knows its public names, where they are defined, and its submodules."""

    _exports: Mapping[str, str]
    _submodules: frozenset[str]

    def __getattr__(self, name: str) -> object:
        if name in self._exports:
            value = getattr(importlib.import_module(self._exports[name]), name)
        elif name in self._submodules:
            value = importlib.import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, types.ModuleType) and self._exports.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._exports, *self._submodules})

    def __reduce__(self) -> tuple[object, tuple[str]]:
        # A function that names the package is sent to other processes by its name; they import it there.
        return importlib.import_module, (self.__name__,)
