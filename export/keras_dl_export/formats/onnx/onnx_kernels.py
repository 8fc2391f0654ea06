"""Casts around ONNX nodes for whose dtype onnxruntime has no kernel.

The ONNX standard allows more dtypes than onnxruntime supports: a maximum of int16 or a sum of uint8 would not
load. Such a node computes in a wider dtype that represents every value, and its result is cast back.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from keras_dl_export.errors import ConversionError

# In order of preference; none represents every int64 or uint64. onnxruntime itself casts float16.
_INTEGERS = ("int32", "int64")
_WIDER = {
    "bool": ("uint8", *_INTEGERS, "float", "double"),
    "int8": (*_INTEGERS, "float", "double"),
    "int16": (*_INTEGERS, "float", "double"),
    "int32": ("int64", "double"),
    "uint8": (*_INTEGERS, "float", "double"),
    "uint16": (*_INTEGERS, "float", "double"),
    "uint32": ("int64", "double"),
}
# These move values, or are exact modulo 2^64, so int64 can represent uint64.
_MODULAR = {"Add", "CumSum", "Mul", "Pad", "ReduceProd", "ReduceSum", "ScatterND", "Sub", "Trilu", "Where"}
# onnxruntime sums integers as double and saturates; TensorFlow wraps around.
_SATURATING = {"ReduceSum"}
_LARGE = 1024  # bytes; a smaller tensor may be a shape, which determines a rank
_PYTHON_NAMES = {"float": "float32", "double": "float64"}


class _NoKernel(Exception):
    pass


def cast_to_kernels(model: Any, endpoint: str) -> None:
    """Insert the casts that a model needs to run in onnxruntime.

    Args:
        model: an ONNX ModelProto, changed in place.
        endpoint: its name, for error messages.

    Raises:
        ConversionError: a node has no kernel in its dtype or in a wider one.
    """
    opset = next(imported.version for imported in model.opset_import if imported.domain in ("", "ai.onnx"))
    inferred = onnx.shape_inference.infer_shapes(_without_weights(model))
    try:
        _cast_graph(model.graph, inferred.graph, opset, {})
    except _NoKernel as error:
        raise ConversionError(f"onnx: endpoint {endpoint!r}: {error}") from error


def _without_weights(model: Any) -> Any:
    """Return the model with its weights as inputs: only their types matter, and they are copied often."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    weights = [tensor for tensor in small.graph.initializer if len(tensor.raw_data) > _LARGE]
    small.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in weights
    )
    rest = [tensor for tensor in small.graph.initializer if len(tensor.raw_data) <= _LARGE]
    del small.graph.initializer[:]
    small.graph.initializer.extend(rest)
    return small


def _cast_graph(graph: Any, inferred: Any, opset: int, outer: Mapping[str, int]) -> None:
    """Insert casts in one graph; `inferred` is the same graph with the types of its values."""
    types = dict(outer)
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    types.update({tensor.name: tensor.data_type for tensor in inferred.initializer})
    nodes: list[Any] = []
    for node, known in zip(graph.node, inferred.node, strict=True):
        bodies = _bodies(node)
        for body, inferred_body in zip(bodies, _bodies(known), strict=True):
            _cast_graph(body, inferred_body, opset, types)
        # A loop or a branch accepts values of any dtypes.
        nodes += [node] if bodies else _cast_node(node, opset, types)
    del graph.node[:]
    graph.node.extend(nodes)


def _bodies(node: Any) -> list[Any]:
    """Return the graphs inside a loop or a branch."""
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def _cast_node(node: Any, opset: int, types: Mapping[str, int]) -> Iterator[Any]:
    """Yield the casts of the inputs, the node, and the casts of the outputs."""
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    kernels = _kernels().get((node.domain, node.op_type), ())
    fitting = [constraints for first, last, constraints in kernels if first <= schema.since_version <= last]
    inputs, outputs = _variables(schema.inputs, node.input), _variables(schema.outputs, node.output)
    words = [_word(types[name]) if types.get(name) else None for name in node.input]
    bound: dict[str, str] = {}
    for word, variable in zip(words, inputs, strict=True):
        # tf2onnx counts the steps of a loop in int64 and compares them with TensorFlow's int32.
        if variable and word and not (bound.get(variable) == "int64" and word == "int32"):
            bound[variable] = word
    computed = _computed(node.op_type, bound, fitting)
    if computed is None:
        listed = " and ".join(dict.fromkeys(_PYTHON_NAMES.get(word, word) for word in bound.values()))
        raise _NoKernel(
            f"node {node.name!r}: onnxruntime has no {node.op_type} of {listed}. "
            "Cast to float32 or int32 before it with keras.ops.cast."
        )
    changed = {variable: word for variable, word in computed.items() if word != bound[variable]}
    after = []
    for index, (name, word, variable) in enumerate(zip(list(node.input), words, inputs, strict=True)):
        if variable and word and word != computed[variable]:
            wide = f"{node.name}_{index}_{computed[variable]}"
            yield onnx.helper.make_node(
                "Cast", [name], [wide], f"{wide}_cast", to=_number(computed[variable])
            )
            node.input[index] = wide
    if changed:
        for index, (name, variable) in enumerate(zip(node.output, outputs, strict=True)):
            if variable in changed and name:
                wide = f"{node.name}_out{index}_{changed[variable]}"
                narrow = _number(bound[variable])
                after.append(onnx.helper.make_node("Cast", [wide], [name], f"{wide}_cast", to=narrow))
                node.output[index] = wide
    yield node
    yield from after


def _computed(
    operator: str, bound: Mapping[str, str], kernels: Sequence[Mapping[str, list[str]]]
) -> dict[str, str] | None:
    """Return the dtype in which each type variable of a node is computed, or None."""
    if not kernels or "float16" in bound.values():  # a function of other nodes, or cast by onnxruntime
        return dict(bound)
    choices = []
    for word in bound.values():
        wider = ("int64",) if word == "uint64" and operator in _MODULAR else _WIDER.get(word, ())
        choices.append(wider if operator in _SATURATING and word == "int32" else (word, *wider))
    for words in itertools.product(*choices):
        chosen = dict(zip(bound, words, strict=True))
        if any(
            all(word in kernel[variable] for variable, word in chosen.items() if variable in kernel)
            for kernel in kernels
        ):
            return chosen
    return None


def _variables(parameters: Any, names: Any) -> list[str | None]:
    """Return the type variable of each input or output of a node, or None if its type is fixed."""
    found: list[str | None] = []
    for index in range(len(names)):
        parameter = parameters[min(index, len(parameters) - 1)]  # the last may be variadic
        variable = parameter.type_str
        found.append(None if "(" in variable else variable)
    return found


@functools.cache
def _kernels() -> dict[tuple[str, str], list[tuple[int, int, dict[str, list[str]]]]]:
    """Return the versions and dtypes of onnxruntime's CPU kernels, by domain and operator."""
    found: dict[tuple[str, str], list[tuple[int, int, dict[str, list[str]]]]] = {}
    for kernel in runtime.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            words = {
                variable: [word.removeprefix("tensor(").removesuffix(")") for word in types]
                for variable, types in kernel.type_constraints.items()
            }
            found.setdefault((kernel.domain, kernel.op_name), []).append((*kernel.version_range, words))
    return found


def _word(element_type: int) -> str:
    word: str = onnx.TensorProto.DataType.Name(element_type).lower()
    return word


def _number(word: str) -> int:
    return int(onnx.TensorProto.DataType.Value(word.upper()))
