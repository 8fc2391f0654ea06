"""The interface of everything that runs a written file: one endpoint, called with arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl_export.names import by_word
from keras_dl_export.specs import Spec

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class IntegerScale:
    """The meaning of the integers of a quantized tensor: real = scale (integer - zero_point).

    Attributes:
        scale: the step between two neighbors.
        zero_point: the integer that stands for 0.
        dtype: the integers'.
    """

    scale: float
    zero_point: int
    dtype: str

    def quantize(self, values: ArrayLike) -> NDArray[Any]:
        """Return the nearest integers; a value outside their range becomes its end."""
        limits = np.iinfo(self.dtype)
        steps = np.round(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, integers: ArrayLike) -> NDArray[Any]:
        """Return the numbers that the integers stand for, in float32."""
        steps = np.asarray(integers, np.int64) - self.zero_point
        return (steps * np.float64(self.scale)).astype(np.float32)


class Runner(ABC):
    """One endpoint of a written file: `runner({"image": images})` -> a dict of arrays.

    A subclass runs a format in one runtime and implements only `run`.

    Attributes:
        endpoint: the endpoint's name.
        inputs: the inputs by name.
        outputs: the outputs by name.
        input_scales: the meaning of the integers that a file with `integer_io=True` takes, by input.
        output_scales: the meaning of the integers that it returns, by output.
    """

    def __init__(self, endpoint: str, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]) -> None:
        self.endpoint = endpoint
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)
        self.input_scales: dict[str, IntegerScale] = {}
        self.output_scales: dict[str, IntegerScale] = {}

    def __call__(self, inputs: Mapping[str, ArrayLike]) -> Arrays:
        """Check the inputs and run the endpoint.

        Args:
            inputs: one array per input, by the name in the file or the model's own.

        Raises:
            ValueError: an input is missing, unknown or of the wrong shape.
            TypeError: an input is of the wrong dtype.
        """
        if isinstance(inputs, Mapping):
            inputs = by_word(inputs, self.inputs)
        if not isinstance(inputs, Mapping) or set(inputs) != set(self.inputs):
            got = ", ".join(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise ValueError(
                f"inputs: {self.endpoint!r} expects arrays for {', '.join(self.inputs)}, got {got}."
            )
        return self.run(
            {name: spec.conform(f"inputs[{name!r}]", inputs[name]) for name, spec in self.inputs.items()}
        )

    @abstractmethod
    def run(self, inputs: Arrays) -> Arrays:
        """Run the endpoint on one array per input, each of its dtype and shape already.

        Strings are object arrays of `str` or `bytes`. One call runs at a time where a runtime keeps its
        tensors to itself: a runner may be called from several threads.

        Raises:
            Exception: the runtime's own, if it refuses the inputs.
        """

    def call_in_floats(self, inputs: Mapping[str, ArrayLike]) -> Arrays:
        """Run the endpoint on floats and return floats, where the file itself has quantized integers.

        Args:
            inputs: one array per input.
        """
        given = {
            name: self.input_scales[name].quantize(value) if name in self.input_scales else value
            for name, value in inputs.items()
        }
        return {
            name: self.output_scales[name].dequantize(value) if name in self.output_scales else value
            for name, value in self(given).items()
        }
