"""Parameters of functions as settings, and conversion of text to their types."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """A named argument of a function.

    Attributes:
        annotation: its type.
        default: its default, or `REQUIRED`.
    """

    annotation: Any
    default: Any


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the named arguments of `function`, or of the constructor of a class.

    A constructor with `**kwargs` also has the optional arguments of the constructor of its base class.
    """
    if not isinstance(function, type):
        return _named(function)[0]
    found: dict[str, Parameter] = {}
    for cls in function.__mro__:
        if cls.__module__.startswith("keras.") or cls is object:
            break
        if "__init__" not in vars(cls):
            continue
        own, has_kwargs = _named(vars(cls)["__init__"])
        own.pop("self")
        inherited = {name: parameter for name, parameter in own.items() if parameter.default is not REQUIRED}
        found = {**inherited, **found} if found else own
        if not has_kwargs:
            break
    return found


def _named(function: Callable[..., Any]) -> tuple[dict[str, Parameter], bool]:
    """Return the named parameters, and whether there are `**kwargs`."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    named = {
        parameter.name: Parameter(hints.get(parameter.name, Any), parameter.default)
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return named, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def parsed(name: str, text: str, annotation: Any) -> Any:
    """Return `text` as a value of that type: `"8"` as 8, `"32,64"` as (32, 64), `"none"` as None.

    Raises:
        ValueError: the text is not such a value.
    """
    try:
        return _parsed(text.strip(), annotation)
    except ValueError:
        raise ValueError(
            f"settings: expected {_described(annotation)} for {name}, got {text!r}. Write it as {name}=VALUE."
        ) from None


def _parsed(text: str, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _first_that_fits(text, arguments)
    if origin is Literal:
        for choice in arguments:
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if origin in (tuple, list, Sequence, Iterable):
        item = arguments[0] if arguments else str
        return tuple(_parsed(part.strip(), item) for part in text.strip("()[]").split(",") if part.strip())
    if annotation in (None, types.NoneType):
        if text.lower() != "none":
            raise ValueError(text)
        return None
    if annotation is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in truth:
            raise ValueError(text)
        return truth[text.lower()]
    return annotation(text) if annotation in (int, float) else text


def _first_that_fits(text: str, annotations: Sequence[Any]) -> Any:
    # None first and text last: every value, including "none", is also a text.
    for annotation in sorted(annotations, key=lambda a: (a is not types.NoneType, a is str)):
        try:
            return _parsed(text, annotation)
        except ValueError:
            continue
    raise ValueError(text)


def _described(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (tuple, list, Sequence, Iterable):
        return (
            f"comma-separated values, each {_described(arguments[0])}"
            if arguments
            else "comma-separated values"
        )
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    return "none" if annotation is types.NoneType else names.get(annotation, str(annotation))
