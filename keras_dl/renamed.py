"""Former calls of public functions, which keep working with a warning: other names, other positions."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

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


def arrays_by_keyword(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a sampler `method(count, *, z=None, label=None)`, so that it accepts `method(z, label)`, too.

    Args:
        *names: the arrays that had positions, in their order; the first stood in the place of `count`.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def with_arrays(*args: P.args, **kwargs: P.kwargs) -> R:
            model, *positional = args
            count, others = positional[:1], positional[1:]
            arrays: dict[str, Any] = dict(zip(names[1:], others, strict=False))
            if count and np.ndim(cast(Any, count[0])):
                arrays, count = {names[0]: count[0], **arrays}, []
            if not arrays or len(others) >= len(names):
                return method(*args, **kwargs)
            call = ", ".join(f"{name}=..." for name in arrays)
            warnings.warn(f"count: pass arrays by keyword, {call}", DeprecationWarning, stacklevel=2)
            kwargs.update(arrays)
            return method(model, *count, **kwargs)  # type: ignore[arg-type]

        return with_arrays

    return decorate
