"""Specs of named, typed tensors: the inputs and outputs of an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from keras_dl_export.dtypes import conform

DEFAULT_ENDPOINT = "serving_default"


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of one named tensor.

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

        A cast that would change a value is refused: `keras_dl_export.dtypes` has the rule.

        Args:
            name: what the error calls the value.
            value: anything NumPy reads.

        Raises:
            TypeError: the dtype does not fit, or a cast would change a value.
            ValueError: the shape does not fit.
        """
        return conform(name, value, self.dtype, self.shape)
