"""The arguments of the first calls of subclassed models, of which Keras stores only the first one's shape."""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Mapping
from typing import Any


class Leaf:
    """The shape and dtype of a tensor, or a value that is not a tensor."""

    def __init__(self, shape: tuple[int | None, ...] | None, dtype: str, value: Any = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.value = value


_CALLS: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


def keep_calls() -> None:
    """Record the first call of every subclassed Keras model; do nothing if Keras is not imported."""
    keras = sys.modules.get("keras")
    if not hasattr(keras, "Model") or "__call__" in vars(keras.Model):  # type: ignore[union-attr]
        return
    kept = keras.Model.__call__  # type: ignore[union-attr]

    @functools.wraps(kept)
    def call(model: Any, *arguments: Any, **named: Any) -> Any:
        outputs = kept(model, *arguments, **named)
        if model not in _CALLS and not getattr(model, "inputs", None):  # functional models have inputs
            _CALLS[model] = _described(model, arguments, named)
        return outputs

    keras.Model.__call__ = call  # type: ignore[union-attr]


def first_call(model: Any) -> Mapping[str, Any]:
    """Return the arguments of a model's first call with a `Leaf` for each value; empty if unknown."""
    return _CALLS.get(model, {})


def _described(model: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    import keras

    try:
        bound = inspect.signature(model.call).bind(*arguments, **named).arguments
    except TypeError:  # arguments of Keras that `call` does not have
        return {}
    return {name: keras.tree.map_structure(_leaf, value) for name, value in bound.items()}


def _leaf(value: Any) -> Leaf:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return Leaf(None, "", value)
    rank = getattr(shape, "rank", len(shape) if not hasattr(shape, "rank") else None)
    if rank is None:
        return Leaf(None, "", None)
    return Leaf(tuple(shape), getattr(dtype, "name", str(dtype)))
