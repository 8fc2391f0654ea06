"""The model's own answers: the numbers that `predict` gives, and how far rounding moves them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_dl_export.endpoints import Endpoint, graph_function
from keras_dl_export.lowering import any_scope, at_inference, fresh_functions, mean_noise
from keras_dl_export.lowering.patching import patched
from keras_dl_export.names import in_graph
from keras_dl_export.samples.answers import ROUNDING, Answers, Arrays


class Predictor(Answers):
    """The answers of an endpoint's function in a graph, as `predict` runs it.

    A graph is of the inputs' own sizes, but for a free batch axis: what a layer decides by the size of an
    image is decided so in `predict`, too. In a graph an activation is freed after its last use; an eager call
    of a functional model keeps them all until it ends.

    Args:
        endpoint: the endpoint to call.
        random: "mean" if draws from hidden generators are replaced by their mean.
    """

    def __init__(self, endpoint: Endpoint, random: str = "refuse") -> None:
        self._endpoint = endpoint
        self._random = random
        self._ask, self._names = graph_function(endpoint), in_graph(endpoint.inputs)
        self._sizes: Any = None
        self._graph: Callable[..., Any] | None = None

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the endpoint's answers by name."""
        sizes = {name: array.shape[1:] for name, array in inputs.items()}
        if self._graph is None or sizes != self._sizes:
            self._graph, self._sizes = self._traced(inputs), sizes
        return _arrays(self._graph(**self._tensors(inputs)))

    def eagerly(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the answers of an eager call, one operation after the other."""
        with self._as_exported():
            return _arrays(self._ask(**self._tensors(inputs)))

    def _rounded(self, inputs: Arrays, seed: int) -> dict[str, NDArray[Any]]:
        """Return the answers with floats that are cast from integers moved, too."""
        if all(array.dtype.kind not in "iu" for array in inputs.values()):
            return self(inputs)
        with _moved_casts(seed):
            return _arrays(self._traced(inputs)(**self._tensors(inputs)))

    @contextlib.contextmanager
    def _as_exported(self) -> Iterator[None]:
        with (
            any_scope(),
            fresh_functions(),
            at_inference(),
            mean_noise() if self._random == "mean" else contextlib.nullcontext(),
        ):
            yield

    def _traced(self, inputs: Arrays) -> Callable[..., Any]:
        def specs(*, free: bool) -> dict[str, Any]:
            return {
                self._names[name]: tf.TensorSpec(
                    (None, *array.shape[1:]) if free and self._has_free_batch(name) else array.shape,
                    self._endpoint.inputs[name].dtype,
                    name=self._names[name],
                )
                for name, array in inputs.items()
            }

        with self._as_exported():
            function = tf.function(self._ask, autograph=False)
            try:
                graph: Callable[..., Any] = function.get_concrete_function(**specs(free=True))
            except Exception:  # a layer that reads the number of examples has it in a single batch
                graph = function.get_concrete_function(**specs(free=False))
        return graph

    def _has_free_batch(self, name: str) -> bool:
        shape = self._endpoint.inputs[name].shape
        return bool(shape) and isinstance(shape[0], str)

    def _tensors(self, inputs: Arrays) -> dict[str, Any]:
        return {
            self._names[name]: tf.constant(array, self._endpoint.inputs[name].dtype)
            for name, array in inputs.items()
        }


def _arrays(outputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(tensor) for name, tensor in outputs.items()}


@contextlib.contextmanager
def _moved_casts(seed: int) -> Iterator[None]:
    """Move each float that is cast from an integer by `tf.cast`, as Keras casts it."""

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
            made = kept(x, dtype, name)
            whole = getattr(getattr(x, "dtype", None), "is_integer", False)
            if not whole or not tf.as_dtype(dtype).is_floating:
                return made
            drawn = tf.random.stateless_uniform(tf.shape(made), (seed, 0), -0.5, 0.5)
            return made * kept(1.0 + ROUNDING * (drawn + 0.5 * tf.sign(drawn)), made.dtype)

        return cast

    with patched(tf, "cast", replace):
        yield
