"""The endpoints of a model: named functions with named, typed inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_dl_export.arguments import check_int
from keras_dl_export.calls import keep_calls
from keras_dl_export.names import in_graph
from keras_dl_export.specs import Spec

keep_calls()  # records the calls of models from now on


@dataclass(frozen=True)
class Endpoint:
    """A plain function of named tensors, and its inputs.

    Attributes:
        function: called with one keyword argument per input; runs with ``training=False`` and returns a dict
            of named tensors. It is traced again for every target.
        inputs: the inputs by name, in order.
    """

    function: Callable[..., Mapping[str, Any]]
    inputs: Mapping[str, Spec]


def pick(offered: Mapping[str, Endpoint], name: str) -> Endpoint:
    """Return the endpoint with a name.

    Raises:
        ValueError: the model has no such endpoint.
    """
    if name not in offered:
        raise ValueError(f"endpoint: expected one of {', '.join(offered)}, got {name!r}.")
    return offered[name]


def with_batch_size(offered: Mapping[str, Endpoint], batch_size: int | None) -> dict[str, Endpoint]:
    """Return the endpoints with a fixed batch size; unchanged for None.

    Raises:
        ValueError: an invalid size, or another size than the fixed batch of an endpoint.
    """
    if batch_size is None:
        return dict(offered)
    batch_size = check_int("batch_size", batch_size)

    def fix(endpoint: str, name: str, spec: Spec) -> Spec:
        size, *rest = spec.shape or ("batch",)
        if isinstance(size, int) and size != batch_size:
            raise ValueError(
                f"batch_size: expected {size}, fixed by {name!r} of endpoint {endpoint!r}, got {batch_size}."
            )
        return Spec((batch_size, *rest), spec.dtype) if spec.shape and size == "batch" else spec

    return {
        name: Endpoint(
            endpoint.function, {key: fix(name, key, spec) for key, spec in endpoint.inputs.items()}
        )
        for name, endpoint in offered.items()
    }


def call_endpoint(endpoint: Endpoint, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Call an endpoint's function and check that it returns named tensors."""
    outputs = endpoint.function(**inputs)
    if not isinstance(outputs, Mapping) or not outputs:
        got = "an empty dict" if isinstance(outputs, Mapping) else type(outputs).__name__
        raise TypeError(f"expected a dict of named tensors from the endpoint, got {got}.")
    if strange := [name for name in outputs if not name.isidentifier()]:
        raise ValueError(f"expected output names of letters, digits and _, got {strange[0]!r}.")
    return dict(outputs)


def graph_function(endpoint: Endpoint) -> Callable[..., dict[str, Any]]:
    """Return a function to trace: `call_endpoint` with the inputs by their `names.in_graph`."""
    names = in_graph(endpoint.inputs)

    def call(**tensors: Any) -> dict[str, Any]:
        return call_endpoint(endpoint, {word: tensors[name] for word, name in names.items()})

    return call
