"""List the endpoints of a Keras model: those that it declares, or one for its `call`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
from numpy.typing import ArrayLike

from keras_dl_export.backend import require_tensorflow_backend
from keras_dl_export.calls import Leaf, first_call
from keras_dl_export.dtypes import as_array
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.names import as_words
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

_FLAGS = ("training", "mask")  # Keras's own arguments of `call`


def endpoints_of(
    model: Any, examples: ArrayLike | Mapping[str, ArrayLike] | None = None
) -> dict[str, Endpoint]:
    """Return the endpoints of a built Keras model by name.

    A model with a method `endpoints()` declares them. Any other model has `serving_default`, derived from its
    `call`: the keys of dict inputs take precedence over the names of `Input`s and arguments, outputs keep
    their keys, and a single output is called `output`. Characters that are invalid in a signature become `_`.

    Args:
        model: a built Keras 3 model.
        examples: real inputs, an array or a dict of arrays, that define the arguments of a subclassed model's
            `call`. By default these are the arguments of the model's first call, if Keras was imported before
            this package; otherwise the first argument only, in float32, as stored by Keras.

    Raises:
        TypeError: `model` is not a Keras model, or its `endpoints()` does not return a dict of `Endpoint`.
        ValueError: `model` is not built, or its inputs are unknown.
        BackendError: Keras does not run on TensorFlow.
    """
    require_tensorflow_backend()
    if not isinstance(model, keras.Model):
        remedy = "Build one from layers, or load one with keras.saving.load_model."
        if isinstance(model, keras.Layer | keras.Function):
            remedy = "Wrap it: x = keras.Input(shape); keras.Model(x, it(x))."
        raise TypeError(f"model: expected a built keras.Model, got {type(model).__name__}. {remedy}")
    if isinstance(model, keras.Sequential) and not model.layers:
        raise ValueError(f"model: expected at least one layer, got none in {model.name!r}. Add layers.")
    if not model.built:
        raise ValueError(
            f"model: expected a built model, got {model.name!r}, which has no weights yet. Call it on data, "
            "fit it, or call build(input_shape) first."
        )
    declared = getattr(model, "endpoints", None)
    if not callable(declared):
        return {DEFAULT_ENDPOINT: _from_call(model, examples)}
    endpoints = declared()
    owner = f"{type(model).__name__}.endpoints()"
    if not isinstance(endpoints, Mapping) or not endpoints:
        raise TypeError(f"{owner}: expected a dict of Endpoint by name, got {endpoints!r}.")
    for name, endpoint in endpoints.items():
        if not isinstance(endpoint, Endpoint):
            raise TypeError(f"{owner}: expected an Endpoint under {name!r}, got {endpoint!r}.")
        for word in (name, *endpoint.inputs):
            if not word.isidentifier():
                raise ValueError(f"{owner}: expected names of letters, digits and _, got {word!r}.")
    return dict(endpoints)


def smallest_vocabulary(model: Any) -> int:
    """Return the smallest vocabulary of the model's embeddings; 2 for a model without embeddings."""
    sizes = [
        layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)
    ]
    return min(sizes, default=2)


def _from_call(model: Any, examples: Any) -> Endpoint:
    signature = inspect.signature(model.call)
    constants: dict[str, Any] = {"training": False} if "training" in signature.parameters else {}
    if functional := bool(getattr(model, "inputs", None)):
        _refuse_ragged(model.inputs)
        arguments = {"": model.inputs[0] if isinstance(model, keras.Sequential) else model.input}
        names = _names([*arguments.values()], [tensor.name for tensor in model.inputs])
    else:
        arguments, others = _recorded(model)
        constants = {**others, **constants}
        parameters = [
            name
            for name in signature.parameters
            if name not in constants and (name not in _FLAGS or name in arguments)
        ]
        if examples is not None:
            arguments = _exemplified(model, parameters, arguments, examples)
        _check_complete(model, parameters, arguments)
        names = _argument_names(arguments)
    tensors = dict(zip(names, keras.tree.flatten([*arguments.values()]), strict=True))

    def serving_default(**inputs: Any) -> dict[str, Any]:
        given = keras.tree.pack_sequence_as([*arguments.values()], [inputs[name] for name in names])
        if functional:
            outputs = model(*given, **constants)
        else:
            outputs = _call(model, signature, {**dict(zip(arguments, given, strict=True)), **constants})
        fallback = getattr(model, "output_names", ()) if isinstance(outputs, list | tuple) else ("output",)
        named = zip(_names(outputs, fallback), keras.tree.flatten(outputs), strict=True)
        # An output that is None, such as a loss in training, is not in the file.
        return {name: keras.ops.convert_to_tensor(value) for name, value in named if value is not None}

    return Endpoint(
        serving_default,
        {name: Spec.named(name, tensor.shape, str(tensor.dtype)) for name, tensor in tensors.items()},
    )


def _refuse_ragged(inputs: Iterable[Any]) -> None:
    for tensor in inputs:
        if getattr(tensor, "ragged", False):
            raise ValueError(
                f"model: expected dense inputs, got the ragged input {tensor.name!r}. A file has dense "
                "tensors, whose padding would count as values. Build the model with keras.Input(shape) and "
                "Masking or mask_zero=True, and set its weights."
            )


def _call(model: Any, signature: inspect.Signature, given: Mapping[str, Any]) -> Any:
    """Call a model with the first argument by position, as Keras requires, and others by name if possible."""
    kinds = {name: signature.parameters[name].kind for name in signature.parameters if name in given}
    by_place = inspect.Parameter.VAR_POSITIONAL in kinds.values()
    first = next(iter(signature.parameters))
    arguments: list[Any] = []
    named: dict[str, Any] = {}
    for name, kind in kinds.items():
        if kind is inspect.Parameter.VAR_POSITIONAL:
            arguments.extend(given[name])
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named.update(given[name])
        elif kind is inspect.Parameter.POSITIONAL_ONLY or (
            kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and (by_place or name == first)
        ):
            arguments.append(given[name])
        else:
            named[name] = given[name]
    return model(*arguments, **named)


def _recorded(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return symbolic arguments of the model's first call by name, and the arguments that are not tensors.

    If the model was built without a call, the shapes are those stored by Keras.
    """

    def symbol(leaf: Leaf) -> Any:
        floating = leaf.dtype.startswith(("float", "bfloat"))
        shape = leaf.shape and (None, *leaf.shape[1:])
        return keras.KerasTensor(shape, model.input_dtype if floating else leaf.dtype)

    arguments: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    for name, value in first_call(model).items():
        leaves = keras.tree.flatten(value)
        if leaves and all(leaf.shape is not None for leaf in leaves):
            arguments[name] = keras.tree.map_structure(symbol, value)
        elif any(leaf.value is not None for leaf in leaves) and all(leaf.shape is None for leaf in leaves):
            constants[name] = keras.tree.map_structure(lambda leaf: leaf.value, value)
    if arguments:
        return arguments, constants
    parameters = [name for name in inspect.signature(model.call).parameters if name not in _FLAGS]
    shapes = model._build_shapes_dict or {}
    named = {key.removesuffix("_shape"): shape for key, shape in shapes.items() if shape is not None}
    if not set(named) <= set(parameters):
        named = dict(zip(parameters, named.values(), strict=False))
    return {
        name: keras.tree.map_shape_structure(
            lambda shape: symbol(Leaf(tuple(shape), model.input_dtype)), named[name]
        )
        for name in parameters
        if name in named
    }, {}


def _check_complete(model: Any, parameters: Sequence[str], arguments: Mapping[str, Any]) -> None:
    signature = inspect.signature(model.call).parameters
    required = [
        name
        for name in parameters
        if signature[name].default is inspect.Parameter.empty
        and signature[name].kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if not parameters:
        raise ValueError(
            f"model: expected a tensor argument in {type(model).__name__}.call(), got none. A file without "
            "inputs would have one constant output. Add an input to call(), or save its result."
        )
    if not arguments or any(name not in arguments for name in required):
        raise ValueError(
            f"model: expected known shapes, got none for {', '.join(required or parameters)} of "
            f"{type(model).__name__}.call(). Pass inputs= with one example array per argument, "
            "call the model on data once, or add an endpoints() method to the class."
        )


def _exemplified(
    model: Any, parameters: Sequence[str], recorded: Mapping[str, Any], examples: Any
) -> dict[str, Any]:
    """Return symbolic arguments by name in the shapes of the examples.

    The keys of a dict are arguments, or the input names of recorded arguments; otherwise the dict is the
    first argument.
    """

    def symbol(example: Any) -> Any:
        if isinstance(example, Mapping):
            return {name: symbol(value) for name, value in example.items()}
        array = as_array("inputs", example)
        # Python floats become float64, which Keras would cast.
        dtype = {"S": "string", "U": "string", "O": "string", "f": model.input_dtype}.get(array.dtype.kind)
        return keras.KerasTensor((None, *array.shape[1:]), dtype or array.dtype.name)

    if not isinstance(examples, Mapping):
        return {parameters[0]: symbol(examples)} if parameters else {}
    symbols = {name: symbol(example) for name, example in examples.items()}
    if set(symbols) <= set(parameters):
        return {name: symbols[name] for name in parameters if name in symbols}
    names = _argument_names(recorded)
    if names and set(names) <= set(symbols) <= {*names, *parameters}:
        packed = keras.tree.pack_sequence_as([*recorded.values()], [symbols.pop(name) for name in names])
        arguments = {**dict(zip(recorded, packed, strict=True)), **symbols}
        return {name: arguments[name] for name in parameters if name in arguments}
    return {parameters[0]: symbols}


def _argument_names(arguments: Mapping[str, Any]) -> list[str]:
    """Return names for the leaves of arguments: dict keys, otherwise the argument and the position in it."""
    values, parameters = [*arguments.values()], [*arguments]
    paths = (path for path, _ in keras.tree.flatten_with_path(values))
    return _names(values, ["_".join((parameters[path[0]], *map(str, path[1:]))) for path in paths])


def _names(structure: Any, fallback: Sequence[str]) -> list[str]:
    """Return names for the leaves of a structure: dict keys, otherwise from `fallback` in order."""
    names: list[str] = []
    for index, (path, _) in enumerate(keras.tree.flatten_with_path(structure)):
        keyed = next((depth for depth, key in enumerate(path) if isinstance(key, str)), None)
        if keyed is not None:
            names.append("_".join(map(str, path[keyed:])))
        else:
            names.append(fallback[index] if index < len(fallback) else f"output_{index}")
    return as_words(names)
