"""A predict request: TensorFlow Serving's checks, in its order and words, then the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import FailedPreconditionError, InvalidArgumentError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature
from keras_dl_serving.server.servable_runner import Runner

_Value = TypeVar("_Value")


def find_signature(runner: Runner, name: str) -> Signature:
    """Return the signature of this name; an empty name is the default one's.

    Raises:
        FailedPreconditionError: there is no such signature.
    """
    name = name or DEFAULT_SIGNATURE
    try:
        return runner.signatures[name]
    except KeyError:
        missing = f'Serving signature key "{name}" not found.'
        raise FailedPreconditionError(runner.refused.get(name, missing)) from None


def check_inputs(signature: Signature, inputs: Mapping[str, _Value]) -> None:
    """Check that a request has the inputs of the signature.

    Raises:
        InvalidArgumentError: an input is missing or unknown.
    """
    sent, wanted = set(inputs), set(signature.inputs)
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not signature.optional):
        raise InvalidArgumentError(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({_set(sent)}) != "
            f"len({_set(wanted)}). Sent extra: {_set(sent - wanted)}. Missing but required: "
            f"{_set(wanted - sent)}."
        )
    for alias in sorted(wanted - sent - signature.optional):
        raise InvalidArgumentError(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor_name}) not found in "
            f"request and no default value provided. Inputs expected to be in the request {_set(sent)}, or "
            f"default input alias set: {','.join(sorted(signature.optional))}"
        )
    if sent - wanted:
        raise InvalidArgumentError(
            f"Inputs contains invalid name. Used request inputs: {','.join(sorted(sent & wanted))}, "
            f"request input: {','.join(sorted(sent))}"
        )


def choose_outputs(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    """Return the outputs to compute: all, or those that the request names.

    Raises:
        InvalidArgumentError: it names an unknown output, or one twice.
    """
    for index, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise InvalidArgumentError(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_set(signature.outputs)}."
            )
        if alias in output_filter[:index]:
            raise InvalidArgumentError(f"duplicate output tensor alias: {alias}")
    return list(output_filter) or list(signature.outputs)


async def predict(
    runner: Runner,
    signature_name: str,
    inputs: Mapping[str, _Value],
    read: Callable[[str, _Value], Array],
    output_filter: Sequence[str] = (),
) -> dict[str, Array]:
    """Check a request and run it.

    Args:
        runner: runs the signature.
        signature_name: as in the request; empty for the default one.
        inputs: as received, by name.
        read: converts a received input, given its name, to an array; called after the names are checked.
        output_filter: the names of the outputs to return; empty for all.

    Raises:
        StatusError: a check fails, or the run.
    """
    signature = find_signature(runner, signature_name)
    check_inputs(signature, inputs)
    arrays = {name: read(name, value) for name, value in inputs.items()}
    outputs = choose_outputs(signature, output_filter)
    results = await runner.run(signature_name or DEFAULT_SIGNATURE, arrays, outputs)
    return dict(zip(outputs, results, strict=True))


def _set(names: Mapping[str, object] | set[str] | frozenset[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
