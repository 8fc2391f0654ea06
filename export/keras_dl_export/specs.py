"""Named, typed tensors: what goes into an endpoint and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.errors import ConversionError


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of one named tensor.

    Attributes:
        shape: one entry an axis; an int where the size is fixed, a name where it is dynamic, for example
            ``("batch", 28, 28, 1)`` or ``("batch", "text_time")``. Equal names mean equal sizes.
        dtype: a NumPy dtype name such as ``"float32"``, or ``"string"``.
    """

    shape: tuple[int | str, ...]
    dtype: str

    def __post_init__(self) -> None:
        if not all(isinstance(size, int) or (isinstance(size, str) and size) for size in self.shape):
            raise ValueError(
                f"shape: expected an int for a fixed axis and a name for a dynamic one, got {self.shape!r}; "
                'for example ("batch", 28, 28, 1).'
            )
        if not isinstance(self.dtype, str):
            raise TypeError(f'dtype: expected a name such as "float32", got {self.dtype!r}.')

    @classmethod
    def named(cls, name: str, shape: Sequence[int | None], dtype: str) -> Spec:
        """Name the dynamic axes (`None`) of tensor `name`: batch first, then time, or height and width."""
        images = len(shape) == 4
        words = {0: "batch", 1: f"{name}_height" if images else f"{name}_time"} | (
            {2: f"{name}_width"} if images else {}
        )
        axes = (
            words.get(axis, f"{name}_axis{axis}") if size is None else size for axis, size in enumerate(shape)
        )
        return cls(tuple(axes), dtype)

    @property
    def static_shape(self) -> tuple[int | None, ...]:
        """The shape with `None` for every dynamic axis."""
        return tuple(size if isinstance(size, int) else None for size in self.shape)

    def with_free_batch(self) -> Spec:
        """Return the spec of any number of examples."""
        return Spec(("batch", *self.shape[1:]), self.dtype) if self.shape else self

    def conform(self, name: str, value: ArrayLike) -> NDArray[Any]:
        """Return `value` as an array of this dtype and shape.

        Casts that keep the kind of number (float64 to float32, int to float, integers in range) are made;
        any other is refused.

        Args:
            name: what the error calls the value.
            value: anything NumPy reads.

        Raises:
            TypeError: the dtype does not fit.
            ValueError: the shape does not fit.
        """
        array = np.asarray(value)
        if self.dtype == "string":
            if array.dtype.kind not in "SUO":
                raise TypeError(f"{name}: expected strings, got {array.dtype}.")
            array = array.astype(object)
        else:
            array = _cast(name, array, numpy_dtype(self.dtype))
        fits = len(array.shape) == len(self.shape) and all(
            isinstance(size, str) or size == got for size, got in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{name}: expected shape {format_shape(self.shape)}, got {format_shape(array.shape)}."
            )
        return array


def format_shape(shape: Sequence[int | str]) -> str:
    """Write a shape as `(batch, 28, 28, 1)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a Spec's dtype name; strings are objects."""
    scalar: Any = object if name == "string" else name
    if name == "bfloat16":
        import ml_dtypes

        scalar = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype


def _cast(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype == dtype:
        return array
    same_kind = array.dtype.kind in "biufV" and np.can_cast(array.dtype, dtype, "same_kind")
    if not same_kind and array.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        same_kind = array.size == 0 or (limits.min <= array.min() and array.max() <= limits.max)
    if not same_kind:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}.")
    return array.astype(dtype)


def refuse_strings(
    target: str, endpoint: str, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]
) -> None:
    """Raise a ConversionError where a format without strings would have to carry some."""
    for name, spec in (*inputs.items(), *outputs.items()):
        if spec.dtype == "string":
            raise ConversionError(
                f"{target}: endpoint {endpoint!r} has strings in {name!r}, which only a SavedModel can "
                "carry. Turn the text into numbers outside the model, or leave this format out."
            )
