"""Classify, regress and multi-inference requests against an engine, with TensorFlow Serving's checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf import text_format

from keras_dl_export import dtypes
from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import InvalidArgumentError, UnimplementedError
from keras_dl_serving.protocol.signatures import DEFAULT_SIGNATURE, Signature
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.servable_runner import Runner

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_MAX_CONTEXT_BYTES = (
    2**30
)  # of the context in all examples together, so that a megabyte does not become a terabyte
_WORDS = {CLASSIFY: "classification", REGRESS: "regression"}


async def classify(
    runner: Runner, signature_name: str, request: messages.Input
) -> messages.ClassificationResult:
    """Return the labels and scores of examples.

    Raises:
        StatusError: the signature is not a classifier, there are no examples, or the run fails.
    """
    name, signature = _find(runner, signature_name, CLASSIFY)
    return await _classify(runner, name, signature, examples_of(request))


async def regress(runner: Runner, signature_name: str, request: messages.Input) -> messages.RegressionResult:
    """Return the values of examples.

    Raises:
        StatusError: the signature is not a regressor, there are no examples, or the run fails.
    """
    name, signature = _find(runner, signature_name, REGRESS)
    return await _regress(runner, name, signature, examples_of(request))


def check_tasks(tasks: Sequence[messages.InferenceTask]) -> None:
    """Check that all tasks of a request name one model.

    Raises:
        InvalidArgumentError: they do not.
    """
    for task in tasks:
        if not task.model_spec.name:
            raise InvalidArgumentError("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise InvalidArgumentError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )


async def multi_inference(
    runner: Runner, tasks: Sequence[messages.InferenceTask], request: messages.Input
) -> list[messages.ClassificationResult | messages.RegressionResult]:
    """Run several signatures on the same examples.

    Raises:
        StatusError: a task is invalid, there are no examples, or a run fails.
    """
    check_tasks(tasks)
    found: dict[str, Signature] = {}
    for task in tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in found:
            raise InvalidArgumentError(f"Duplicate evaluation of signature: {name}")
        if name not in runner.signatures:
            missing = f"Requested signature not found in model graph: {name}"
            raise InvalidArgumentError(runner.refused.get(name, missing))
        if task.method_name not in _WORDS:
            raise UnimplementedError(f"Unsupported signature method_name: {task.method_name}")
        found[name] = runner.signatures[name]
        _check(runner, name, task.method_name)
    examples = examples_of(request)
    return [
        await (_classify if task.method_name == CLASSIFY else _regress)(runner, name, found[name], examples)
        for task, name in zip(tasks, found, strict=True)
    ]


def examples_of(request: messages.Input) -> Array:
    """Return the serialized examples of a request.

    Raises:
        InvalidArgumentError: there are none.
    """
    if request.WhichOneof("kind") == "example_list_with_context":
        # Two serialized messages in a row are the merged message.
        context, given = request.example_list_with_context.context, request.example_list_with_context.examples
        if len(context) * len(given) > _MAX_CONTEXT_BYTES:
            raise InvalidArgumentError(
                f"A context of {len(context)} bytes for each of {len(given)} examples is more than "
                f"{_MAX_CONTEXT_BYTES} bytes. Send fewer examples at once."
            )
        examples = [context + example for example in given]
    else:
        examples = list(request.example_list.examples)
    if not examples:
        raise InvalidArgumentError("Input is empty.")
    array = np.empty(len(examples), object)
    array[:] = examples
    return array


def _find(runner: Runner, signature_name: str, method: str) -> tuple[str, Signature]:
    name = signature_name or DEFAULT_SIGNATURE
    if name not in runner.signatures:
        raise InvalidArgumentError(runner.refused.get(name, f"No signature was found with the name: {name}"))
    _check(runner, name, method)
    return name, runner.signatures[name]


def _check(runner: Runner, name: str, method: str) -> None:
    word, signature = _WORDS[method], runner.signatures[name]
    if runner.checks_method_names and signature.method_name != method:
        raise InvalidArgumentError(
            f"Expected {word} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgumentError("Expected one input Tensor.")
    if method == CLASSIFY and len(signature.outputs) not in (1, 2):
        raise InvalidArgumentError(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if method == REGRESS and len(signature.outputs) != 1:
        raise InvalidArgumentError("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        complaint = f"No {word} inputs found in SignatureDef: "
    elif method == CLASSIFY and not signature.outputs.keys() & {"classes", "scores"}:
        complaint = (
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: "
        )
    elif method == REGRESS and "outputs" not in signature.outputs:
        complaint = "No regression outputs found in SignatureDef: "
    else:
        return
    definitions = messages.SignatureDefMap.FromString(runner.signature_def_map)
    raise InvalidArgumentError(complaint + text_format.MessageToString(definitions.signature_def[name]))


async def _classify(
    runner: Runner, name: str, signature: Signature, examples: Array
) -> messages.ClassificationResult:
    aliases = [alias for alias in ("classes", "scores") if alias in signature.outputs]
    arrays = dict(zip(aliases, await runner.run(name, {"inputs": examples}, aliases), strict=True))
    for alias, array in arrays.items():
        wanted = "string" if alias == "classes" else "float32"
        if array.ndim != 2:
            raise InvalidArgumentError(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        if dtypes.of_array(array).name != wanted:
            raise InvalidArgumentError(
                f"Expected {alias} Tensor of {_dtype(dtypes.by_name(wanted))}. Got: "
                f"{_dtype(dtypes.of_array(array))}"
            )
        if len(array) != len(examples):
            raise InvalidArgumentError(
                f"Expected {alias} output batch size of {len(examples)}. Got: {len(array)}"
            )
    widths = [array.shape[1] for array in arrays.values()]
    if len(set(widths)) > 1:
        raise InvalidArgumentError(
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}"
        )
    result = messages.ClassificationResult()
    for row in range(len(examples)):
        classes = result.classifications.add().classes
        for column in range(widths[0]):
            one = classes.add()
            if "classes" in arrays:
                one.label = arrays["classes"][row, column].decode("utf-8", "replace")
            if "scores" in arrays:
                one.score = float(arrays["scores"][row, column])
    return result


async def _regress(
    runner: Runner, name: str, signature: Signature, examples: Array
) -> messages.RegressionResult:
    (values,) = await runner.run(name, {"inputs": examples}, ["outputs"])
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 1):
        raise InvalidArgumentError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(values)}"
        )
    if len(values) != len(examples):
        raise InvalidArgumentError(
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise InvalidArgumentError(
            f"Expected output Tensor of DT_FLOAT.  Got: {_dtype(dtypes.of_array(values))}"
        )
    result = messages.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _dtype(dtype: dtypes.DType) -> str:
    return f"DT_{dtype.tensorflow.upper()}"
