"""Arguments that were renamed: the former names keep working, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**former: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, so that it accepts arguments under their former names, too.

        @renamed(neighbors="k_nearest")      # neighbors is the argument's name now
        def precision_recall(real, generated, *, neighbors=3): ...

    The decorated function raises `TypeError` if an argument is passed under both names.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def with_former_names(*args: P.args, **kwargs: P.kwargs) -> R:
            given: dict[str, Any] = kwargs
            for name, old in former.items():
                if old not in given:
                    continue
                if name in given:
                    raise TypeError(f"{name}: expected one value, got another as {old!r}. Pass {name} alone.")
                warnings.warn(f"{old}: renamed to {name}. Pass {name}=...", DeprecationWarning, stacklevel=2)
                given[name] = given.pop(old)
            return function(*args, **kwargs)

        return with_former_names

    return decorate
