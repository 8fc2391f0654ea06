"""Write endpoints as the signatures of a TFLite file with only builtin operators."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from keras_dl_export.child import ChildError, call_in_child
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.errors import ConversionError, first_line
from keras_dl_export.format import refuse_strings
from keras_dl_export.formats.alternatives import alternatives
from keras_dl_export.formats.saved_model.saved_model_writer import write_saved_model
from keras_dl_export.formats.tflite.tflite_fused import FusedLSTM, refuse_cell_states
from keras_dl_export.formats.tflite.tflite_quantization import quantize_tflite
from keras_dl_export.quantization import Quantization
from keras_dl_export.quiet import silence
from keras_dl_export.samples.references import with_one_example
from keras_dl_export.tracing import Signature, lower

# The converter's name of an operator and its node: fused["Erfinv:", "model/layer/Erfinv@__inference_..."]
_BLAMED = re.compile(r'fused\["(\w+):", "([^"@]+)@[^"]*"\] at [^\n]*?: (?:error: )?\'tf\.\w+\' op ')


def write_tflite(
    signatures: Mapping[str, Signature],
    path: Path,
    quantization: Quantization | None = None,
    saved_model: Path | None = None,
) -> None:
    """Convert signatures; weights that they share are stored once.

    Args:
        signatures: the signatures, traced with `TFLiteRecurrent`.
        path: the file to write.
        quantization: the quantization of weights and activations, or None.
        saved_model: the folder where `write_saved_model` wrote these signatures; by default they are written
            to a temporary folder next to `path`.

    Raises:
        ConversionError: TFLite's builtin operators cannot express an endpoint.
    """
    for signature in signatures.values():
        refuse_strings("tflite", signature.name, signature.inputs, signature.outputs)
    with tempfile.TemporaryDirectory(prefix=path.name, dir=path.parent) as folder:
        if saved_model is None:
            saved_model = Path(folder, "saved_model")
            write_saved_model(signatures, saved_model)
        # The converter may crash its process while calibrating a loop; the imports of a child process take 6
        # s.
        calibrated = quantization is not None and quantization.kind == "int8"
        risky = calibrated and any(map(_loops, signatures.values()))
        convert_here = convert_in_child if risky else convert
        path.write_bytes(convert_here(saved_model, list(signatures), quantization))


def convert(saved_model: Path, signatures: list[str], quantization: Quantization | None) -> bytes:
    """Return the content of a TFLite file with the signatures of a SavedModel."""
    with silence() as noise:
        try:
            converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=signatures)
            # By default an infinite constant becomes the largest float: inf == inf would be False.
            converter.canonicalizing_inf_as_min_max_float = quantization is not None
            if quantization is not None:
                quantize_tflite(converter, quantization)
            content: bytes = converter.convert()
        except Exception as error:
            raise ConversionError(_explain(error, noise.lines())) from error
    return content


def fuse_lstms(signatures: Mapping[str, Signature], calibrated: bool) -> dict[str, Signature]:
    """Trace again with one stateful operator per LSTM and a batch of one.

    Raises:
        ConversionError: an endpoint cannot be traced this way, or the operator would compute a layer wrongly.
    """
    single = {}
    for name, signature in signatures.items():
        one = with_one_example(signature)
        single[name] = dataclasses.replace(one, endpoint=Endpoint(one.endpoint.function, one.inputs))
    fused = lower(single, FusedLSTM(calibrated))
    for signature in fused.values():
        refuse_cell_states(signature.function)
    return fused


def convert_in_child(saved_model: Path, signatures: list[str], quantization: Quantization | None) -> bytes:
    """Run `convert` in a separate process, so that a crash is an error here.

    Raises:
        ConversionError: the converter failed or crashed.
    """
    try:
        return call_in_child(convert, saved_model, signatures, quantization)
    except ChildError as error:
        raise ConversionError(
            f"tflite: int8 of {', '.join(signatures)} loops over time of unknown length, for which the "
            f"converter {error}. Use quantize='dynamic' or 'float16', or give the input a fixed length."
        ) from error


def _loops(signature: Signature) -> bool:
    nodes = signature.function.graph.as_graph_def().node
    return any(node.op in ("While", "StatelessWhile") for node in nodes)


def _explain(error: Exception, noise: Sequence[str]) -> str:
    text = "\n".join((str(error), *noise))
    blamed = _BLAMED.findall(text)
    if not blamed:
        return f"tflite: the converter failed: {first_line(error)}"
    places = {operator: node.rpartition("/")[0] or node for operator, node in reversed(blamed)}
    listed = ", ".join(f"{operator} in {layer!r}" for operator, layer in sorted(places.items()))
    if wide := re.search(r"[x<](b?f16|f64)>", text):
        dtype = {"f16": "float16", "bf16": "bfloat16", "f64": "float64"}[wide[1]]
        remedy = f"They compute in {dtype}, which TFLite does not support. Cast to float32, or omit 'tflite'."
    else:
        remedy = f"{alternatives(sorted(places), 'tflite')}, or omit 'tflite'."
    return f"tflite: the builtin operators of TFLite cannot express {listed}. {remedy}"
