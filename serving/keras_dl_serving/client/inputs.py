"""Inputs, checked against a signature and cast to it before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_dl_export.dtypes import Array, conform, encode
from keras_dl_export.names import by_word
from keras_dl_serving.errors import InvalidRequestError
from keras_dl_serving.protocol.signatures import Signature, TensorSpec


def prepare(inputs: Any, signature: Signature) -> dict[str, Array]:
    """Return the arrays to send.

    Args:
        inputs: array-likes by input name (`my-x` may stand for `my_x`), or a single array-like for a
            signature with a single input.
        signature: the model's.

    Returns:
        Arrays of the signature's dtypes, by the rule of `keras_dl_export.dtypes`, which local runners also
        follow; strings are arrays of `bytes` objects.

    Raises:
        InvalidRequestError: a name, shape or dtype does not fit, or casting would change values.
    """
    if not isinstance(inputs, Mapping):
        if len(signature.inputs) != 1:
            raise InvalidRequestError(
                f"inputs: expected a dict of the model's {len(signature.inputs)} inputs, "
                f"{_listed(signature)}, got {type(inputs).__name__}."
            )
        inputs = {next(iter(signature.inputs)): inputs}
    inputs = by_word(inputs, signature.inputs)
    unknown = sorted(map(str, inputs.keys() - signature.inputs.keys()))
    missing = sorted(signature.inputs.keys() - inputs.keys() - signature.optional)
    if unknown or missing:
        complaints = [f"{_quoted(missing)} missing"] * bool(missing) + [f"{_quoted(unknown)} unknown"] * bool(
            unknown
        )
        raise InvalidRequestError(f"inputs: expected {_listed(signature)}; {' and '.join(complaints)}.")
    return {name: _conform(name, value, signature.inputs[name]) for name, value in inputs.items()}


def _listed(signature: Signature) -> str:
    return ", ".join(f"{name!r}: {spec}" for name, spec in signature.inputs.items())


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names)) + (" is" if len(names) == 1 else " are")


def _conform(name: str, value: Any, spec: TensorSpec) -> Array:
    try:
        array = conform(f"inputs[{name!r}]", value, spec.dtype, spec.axes)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(str(error)) from None
    if spec.dtype == "string":
        encoded = np.empty(array.shape, object)
        encoded.ravel()[:] = [encode(text) for text in array.flat]
        return encoded
    return array
