"""What a public ``forward`` takes: its own parameters, an older name of the cache, and nothing in silence."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from longsum_lib.errors import UnknownOption
from longsum_lib.upstream.peft import is_from_peft, prompt_of
from longsum_lib.upstream.transformers import OLD_NAMES, REFUSED, WITHOUT_MEANING

Forward = TypeVar("Forward", bound=Callable[..., Any])


def takes(*also: str) -> Callable[[Forward], Forward]:
    """Make a ``forward`` refuse what it does not know, and take what callers of transformers pass.

    Its signature stays the one that is written down: ``generate``, ``Trainer``, peft and editors read it.

    Args:
        also: names of keywords that the ``forward`` takes through ``**kwargs``, for another one's sake.

    Raises:
        UnknownOption: a ``TypeError``, when the decorated method is called with a keyword that it does not know, or
            with one that transformers' class knows and this one cannot honour.
    """

    def decorate(forward: Forward) -> Forward:
        own = [p.name for p in inspect.signature(forward).parameters.values() if p.kind is not p.VAR_KEYWORD]
        known = frozenset(own[1:]) | frozenset(also)

        @functools.wraps(forward)
        def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in known:
                    kwargs = settle(type(self).__name__, known, kwargs)
                    break
            return forward(self, *args, **kwargs)

        return checked  # type: ignore[return-value]  # functools.wraps keeps the signature

    return decorate


def settle(owner: str, known: frozenset[str], given: dict[str, Any]) -> dict[str, Any]:
    """Give old names their new ones and leave out what means nothing; refuse the rest.

    Args:
        owner: the class, for messages.
        known: names of its parameters.
        given: keywords of a call.

    Returns:
        The keywords that the parameters take.

    Raises:
        UnknownOption: see :func:`takes`.
    """
    settled = {name: value for name, value in given.items() if name in known}
    for name, value in given.items():
        new = OLD_NAMES.get(name)
        if name in known or name in WITHOUT_MEANING:
            continue
        if new in known:
            given_new = settled.get(new)
            if given_new is None or value is None:
                settled[new] = value if value is not None else given_new
            elif not is_from_peft(given_new, value):
                raise UnknownOption.of(owner, name, reason=f"it is the old name of {new}, which was given too")
            else:
                settled[new] = prompt_of(given_new, value)
        elif name not in REFUSED:
            raise UnknownOption.of(owner, name, known=known)
        elif value is not None and value is not False:
            raise UnknownOption.of(owner, name, reason=REFUSED[name])
    return settled
