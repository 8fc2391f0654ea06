"""SignatureDefs in the metadata of a TFLite file, where TensorFlow Serving reads them.

`tflite::SetSignatureDefMap` writes them: a metadata entry whose buffer is a FlexBuffer, a map of names to
serialized SignatureDefs. They are not the file's own signatures, which the interpreter reads.
"""

from __future__ import annotations

import struct

from ai_edge_litert.schema_py_generated import Model
from flatbuffers import flexbuffers
from google.protobuf.message import DecodeError

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.wire import messages

_ENTRY = b"signature_defs_metadata"


def signature_defs(file: bytes) -> dict[str, messages.SignatureDef]:
    """Return the SignatureDefs by name; empty if the file has no such entry.

    Raises:
        InvalidArgumentError: one cannot be read.
    """
    if _ENTRY not in file:
        return {}
    try:
        model = Model.GetRootAs(file)
        entries = [model.Metadata(index) for index in range(model.MetadataLength())]
        buffers = [entry.Buffer() for entry in entries if entry.Name() == _ENTRY]
        found = {}
        for buffer in buffers[:1]:
            definitions = flexbuffers.GetRoot(model.Buffers(buffer).DataAsNumpy().tobytes()).AsMap
            for key, value in zip(definitions.Keys, definitions.Values, strict=True):
                found[key.AsKey] = messages.SignatureDef.FromString(bytes(value.AsStringBytes))
        return found
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, DecodeError) as error:
        raise InvalidArgumentError(f"Invalid SignatureDefs found in TfLite model: {error}") from error
