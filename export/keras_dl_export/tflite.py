"""Write endpoints as the signatures of a TFLite file made of builtin operators alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_dl_export.errors import ConversionError, first_line
from keras_dl_export.quantization import Row, quantize_tflite
from keras_dl_export.quiet import silence
from keras_dl_export.signatures import Signature
from keras_dl_export.specs import refuse_strings

# How the converter names an operator and its node: fused["Erfinv:", "model/layer/Erfinv@__inference_..."]
_BLAMED = re.compile(r'fused\["(\w+):", "([^"@]+)@[^"]*"\] at [^\n]*?: (?:error: )?\'tf\.\w+\' op ')


def write_tflite(
    saved_model: Path,
    signatures: Mapping[str, Signature],
    path: Path,
    quantize: str | None = None,
    rows: Sequence[Row] = (),
) -> None:
    """Convert signatures of a SavedModel; weights that several of them use are in the file once.

    Args:
        saved_model: the folder that `write_saved_model` wrote.
        signatures: the signatures wanted of it.
        path: the file to write.
        quantize: "float16", "dynamic", "int8" (of one signature) or None.
        rows: what int8 is calibrated on.

    Raises:
        ConversionError: TFLite's builtin operators cannot express an endpoint.
    """
    import tensorflow as tf

    for signature in signatures.values():
        refuse_strings("tflite", signature.name, signature.inputs, signature.outputs)
        if quantize == "int8":
            _refuse_loops(signature)
    with silence() as noise:
        try:
            converter = tf.lite.TFLiteConverter.from_saved_model(
                str(saved_model), signature_keys=list(signatures)
            )
            if quantize is not None:
                quantize_tflite(converter, quantize, rows, *signatures)
            content = converter.convert()
        except Exception as error:
            raise ConversionError(_explain(error, noise.lines())) from error
    path.write_bytes(content)


def count_tflite_operators(path: Path) -> dict[str, int]:
    """Count the operators of all subgraphs of a TFLite file."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    counts = Counter(
        names[codes[operator.opcodeIndex]] for graph in model.subgraphs for operator in graph.operators
    )
    return dict(counts.most_common())


def _refuse_loops(signature: Signature) -> None:
    # Calibrating a loop kills the process: the converter dereferences what it never allocated.
    nodes = signature.function.graph.as_graph_def().node
    for node in nodes:
        if node.op in ("While", "StatelessWhile"):
            layer = node.name.rpartition("/")[0] or node.name
            raise ConversionError(
                f"tflite: endpoint {signature.name!r} loops in {layer!r}, where int8 cannot be calibrated. "
                "Take quantize='dynamic' or 'float16', or unroll the layer (unroll=True)."
            )


def _explain(error: Exception, noise: Sequence[str]) -> str:
    text = "\n".join((str(error), *noise))
    blamed = _BLAMED.findall(text)
    if not blamed:
        return f"tflite: the converter failed: {first_line(error)}"
    places = {operator: node.rpartition("/")[0] or node for operator, node in reversed(blamed)}
    listed = ", ".join(f"{operator} in {layer!r}" for operator, layer in sorted(places.items()))
    if any(operator.startswith("TensorList") for operator in places):
        remedy = (
            "Recurrent layers need a fixed batch here, keras.Input(batch_shape=...); or leave 'tflite' out."
        )
    elif re.search(r"[x<]b?f(16|64)>", text):
        remedy = "They are float32 there: build the model with keras.config.set_dtype_policy('float32')."
    else:
        remedy = "Build the layer from other operations, or leave 'tflite' out."
    return f"tflite: the builtin operators of TFLite cannot express {listed}. {remedy}"
