"""Write an endpoint as an ONNX file with the endpoint's names and axes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from tf2onnx import tf_loader
from tf2onnx.tfonnx import process_tf_graph

from keras_dl_export.errors import ConversionError, first_line
from keras_dl_export.format import refuse_strings
from keras_dl_export.formats.alternatives import alternatives
from keras_dl_export.formats.onnx.onnx_contents import onnx_nodes_of
from keras_dl_export.formats.onnx.onnx_kernels import cast_to_kernels
from keras_dl_export.formats.onnx.onnx_operators import OPERATORS, loops_as_they_are
from keras_dl_export.formats.onnx.onnx_optimizer import optimize
from keras_dl_export.formats.onnx.onnx_quantization import quantize_onnx
from keras_dl_export.formats.onnx.onnx_runner import ENDPOINT_KEY, INPUTS_KEY
from keras_dl_export.names import in_graph
from keras_dl_export.quantization import Quantization
from keras_dl_export.quiet import silence
from keras_dl_export.specs import Spec
from keras_dl_export.tracing import Signature


def write_onnx(
    signature: Signature, path: Path, opset: int, quantization: Quantization | None = None
) -> None:
    """Convert one endpoint.

    Outputs have the endpoint's names. An ONNX graph cannot have an input and an output with the same name:
    such an input is `<name>_input` in the file, and the file's metadata maps it back.

    Args:
        signature: the endpoint.
        path: the file to write.
        opset: the version of the ONNX operators, 13 to 18.
        quantization: the quantization of weights and activations, or None.

    Raises:
        ConversionError: ONNX's operators cannot express the endpoint.
    """
    refuse_strings("onnx", signature.name, signature.inputs, signature.outputs)
    if signature.precision == "bfloat16":
        raise ConversionError(
            f"onnx: endpoint {signature.name!r} computes in bfloat16, which onnxruntime does not support on "
            "CPUs. Build the model with keras.config.set_dtype_policy('float32') or 'mixed_float16' and load "
            "its weights."
        )
    inputs = _input_names(signature)
    with silence():
        try:
            model = _convert(signature, inputs, opset)
        except Exception as error:
            raise ConversionError(
                f"onnx: the conversion of endpoint {signature.name!r} failed: {first_line(error)}"
            ) from error
    _refuse_unmapped(signature.name, model, opset)
    del model.graph.value_info[:]
    cast_to_kernels(model, signature.name)
    _name_axes(model.graph.input, {inputs[name]: spec for name, spec in signature.inputs.items()})
    _name_axes(model.graph.output, signature.outputs)
    if quantization is not None:
        model = _quantize(signature.name, model, quantization, inputs)
    model.graph.name = signature.name
    model.producer_name = "keras_dl"
    renamed = {written: name for name, written in inputs.items()}
    onnx.helper.set_model_props(model, {ENDPOINT_KEY: signature.name, INPUTS_KEY: json.dumps(renamed)})
    path.write_bytes(model.SerializeToString())


def _input_names(signature: Signature) -> dict[str, str]:
    """Return the name of each input in the file."""
    taken = {*signature.inputs, *signature.outputs}
    names = {}
    for name in signature.inputs:
        written = name
        while written in signature.outputs or (written != name and written in taken):
            written += "_input"
        taken.add(written)
        names[name] = written
    return names


def _convert(signature: Signature, inputs: Mapping[str, str], opset: int) -> Any:
    """Freeze the traced function and convert it.

    `tf2onnx.convert.from_function` is not used because it names tensors after TensorFlow's graph.
    """
    function = signature.function
    # The inputs are followed by captured tensors: variables and constants of the model.
    tensors = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    written = {name: inputs[word] for word, name in in_graph(inputs).items()}
    renamed = {
        tensor.name: written[tensor.op.get_attr("_user_specified_name").decode()] for tensor in tensors
    }
    input_names = list(renamed)
    output_names = [function.structured_outputs[name].name for name in signature.outputs]
    renamed.update(zip(output_names, signature.outputs, strict=True))
    with tf.device("/cpu:0"):
        frozen = tf_loader.from_function(function, input_names, output_names)
        with tf.Graph().as_default() as graph, loops_as_they_are():
            tf.import_graph_def(frozen, name="")
            # Rewriters that do not apply may raise; unmapped operators are detected afterwards.
            converted = process_tf_graph(
                graph,
                continue_on_error=True,
                opset=opset,
                input_names=input_names,
                output_names=output_names,
                tensors_to_rename=renamed,
                custom_op_handlers=dict(OPERATORS),
            )
            model = optimize(converted).make_model(signature.name)
    _pad_outputs(model)
    return model


def _pad_outputs(model: Any) -> None:
    """Set `output_padding` instead of negative padding, which tf2onnx writes and ONNX does not allow."""
    for node in onnx_nodes_of(model.graph):
        if node.op_type != "ConvTranspose":
            continue
        for pads in (attribute.ints for attribute in node.attribute if attribute.name == "pads"):
            ends = pads[len(pads) // 2 :]
            if any(end < 0 for end in ends):
                pads[len(pads) // 2 :] = [max(end, 0) for end in ends]
                missing = [max(-end, 0) for end in ends]
                node.attribute.append(onnx.helper.make_attribute("output_padding", missing))


def _quantize(endpoint: str, model: Any, quantization: Quantization, inputs: Mapping[str, str]) -> Any:
    rows = (
        {inputs[name]: array for name, array in row.items()} for row in quantization.rows.get(endpoint, ())
    )
    with silence():
        try:
            return quantize_onnx(model, quantization.kind, rows)
        except Exception as error:
            raise ConversionError(
                f"onnx: endpoint {endpoint!r} cannot be quantized to {quantization.kind}: {first_line(error)}"
            ) from error


def _refuse_unmapped(endpoint: str, model: Any, opset: int) -> None:
    unmapped = {
        node.op_type: node.name
        for node in onnx_nodes_of(model.graph)
        if not onnx.defs.has(node.op_type, opset, node.domain)
    }
    if unmapped:
        listed = ", ".join(
            f"{operator} in {name.rpartition('/')[0] or name!r}" for operator, name in unmapped.items()
        )
        raise ConversionError(
            f"onnx: endpoint {endpoint!r} needs operators that ONNX does not have: {listed}. "
            f"{alternatives(unmapped, 'onnx')}, or omit 'onnx'."
        )


def _name_axes(values: Any, specs: Mapping[str, Spec]) -> None:
    for value in values:
        dimensions = value.type.tensor_type.shape
        dimensions.ClearField("dim")
        for size in specs[value.name].shape:
            dimension = dimensions.dim.add()
            if isinstance(size, int):
                dimension.dim_value = size
            else:
                dimension.dim_param = size
