"""`SignatureDef`s for models that have none of their own."""

from __future__ import annotations

from collections.abc import Mapping

from keras_dl_export import dtypes
from keras_dl_serving.protocol.signatures import Signature, TensorSpec
from keras_dl_serving.protocol.wire import messages


def serialize(signatures: Mapping[str, Signature]) -> bytes:
    """Return signatures as a serialized `SignatureDefMap`."""
    definitions = messages.SignatureDefMap()
    for name, signature in signatures.items():
        definition = definitions.signature_def[name]
        definition.method_name = signature.method_name
        for alias, spec in signature.inputs.items():
            _define(spec, definition.inputs[alias])
        for alias, spec in signature.outputs.items():
            _define(spec, definition.outputs[alias])
    return definitions.SerializeToString()


def _define(spec: TensorSpec, info: messages.TensorInfo) -> None:
    info.name = spec.tensor_name
    info.dtype = dtypes.by_name(spec.dtype).number
    if spec.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    for size in spec.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)
