"""The model's own outputs: the numbers of `predict`, and their change by rounding."""

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
    """The outputs of an endpoint's function in a graph, as `predict` runs it.

    A graph has the sizes of the inputs except for a dynamic batch axis, so a layer that branches on the size
    of an image branches as in `predict`. A graph frees an activation after its last use; an eager call of a
    functional model keeps all activations until it ends.

    Args:
        endpoint: the endpoint to run.
        random: "mean" to replace draws from hidden generators by their mean.
    """

    def __init__(self, endpoint: Endpoint, random: str = "refuse") -> None:
        self._endpoint = endpoint
        self._random = random
        self._ask, self._names = graph_function(endpoint), in_graph(endpoint.inputs)
        self._sizes: Any = None
        self._graph: Callable[..., Any] | None = None

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the endpoint's outputs by name."""
        sizes = {name: array.shape[1:] for name, array in inputs.items()}
        if self._graph is None or sizes != self._sizes:
            self._graph, self._sizes = self._traced(inputs), sizes
        return _arrays(self._graph(**self._tensors(inputs)))

    def eagerly(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs of an eager call of the model."""
        with self._as_exported():
            return _arrays(self._ask(**self._tensors(inputs)))

    def _rounded(self, inputs: Arrays, seed: int) -> dict[str, NDArray[Any]]:
        """Return the outputs with moved inputs; floats cast from integers are moved, too."""
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
            except Exception:  # a layer needs the number of examples
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
    """Move each float that Keras casts from an integer, in this thread only."""

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
