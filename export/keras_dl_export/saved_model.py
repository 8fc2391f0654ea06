"""Write endpoints as the named signatures of a SavedModel."""

from __future__ import annotations

import errno
import gc
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keras_dl_export.errors import ConversionError, first_line
from keras_dl_export.formats.saved_model.saved_model_names import rename_inputs
from keras_dl_export.lowering import any_scope
from keras_dl_export.quiet import silence
from keras_dl_export.signatures import Signature

_WARMUP_REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")


def write_saved_model(model: Any, signatures: Mapping[str, Signature], folder: Path) -> None:
    """Write a SavedModel that plain TensorFlow and TensorFlow Serving load.

    The folder holds the variables and lookup tables that the endpoints use, and nothing else of the model: a
    module that tracked the Keras model itself would come back with uninitialised variables.

    Raises:
        ConversionError: TensorFlow cannot save an endpoint.
        OSError: the disk is full, or cannot be written to.
    """
    import tensorflow as tf

    functions = {name: signature.function for name, signature in signatures.items()}
    module = tf.Module()
    module.variables_used = list(
        {
            id(variable): variable for function in functions.values() for variable in function.graph.variables
        }.values()
    )
    module.tables_used = _tables(functions)
    with silence(), any_scope():  # variables are named after layers, too
        try:
            tf.saved_model.save(module, str(folder), signatures=functions)
        except Exception as error:
            _raise_if_of_the_disk(error)
            raise ConversionError(
                f"saved_model: TensorFlow cannot save the model: {first_line(error)}"
            ) from error
    rename_inputs({name: signature.inputs for name, signature in signatures.items()}, folder)


def count_saved_model_operators(signatures: Mapping[str, Signature]) -> dict[str, int]:
    """Count the operators in the graphs of all endpoints."""
    counts: Counter[str] = Counter()
    for signature in signatures.values():
        graph = signature.function.graph.as_graph_def()
        counts.update(node.op for node in graph.node)
        counts.update(node.op for function in graph.library.function for node in function.node_def)
    return dict(counts.most_common())


def write_warmup_requests(signatures: Mapping[str, Signature], folder: Path) -> None:
    """Write a Predict request per endpoint where TensorFlow Serving looks for what to run first."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / _WARMUP_REQUESTS
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in signatures.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, array in signature.cases[0].inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array, dtype=signature.inputs[key].dtype))
            writer.write(log.SerializeToString())


def _raise_if_of_the_disk(error: Exception) -> None:
    """Raise the OSError that TensorFlow's error tells of; it keeps no number, but the system's words."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
        if os.strerror(number) in str(error):
            raise OSError(number, os.strerror(number)) from error


def read_warmup_requests(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the inputs in those requests: real examples, if the model was exported with some."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    inputs = {}
    for record in tf.data.TFRecordDataset(str(folder / _WARMUP_REQUESTS)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        inputs.update({key: tf.make_ndarray(value) for key, value in log.predict_log.request.inputs.items()})
    return inputs


def _tables(functions: Mapping[str, Any]) -> list[Any]:
    """Return the lookup tables that functions captured, wherever the model keeps them.

    A function holds a table's handle alone, and a table that is not saved by its owner comes back empty. The
    owner may be in a list, a closure or a module's global: only the garbage collector knows them all.

    Raises:
        ConversionError: a function captured what no SavedModel holds.
    """
    captured = {
        id(handle): (name, inner)
        for name, function in functions.items()
        for handle, inner in function.graph.captures
        if handle.dtype.name == "resource"
    }
    for function in functions.values():
        for variable in function.graph.variables:
            captured.pop(id(variable.handle), None)
    if not captured:
        return []
    tables = _owners(captured)
    if len(tables) < len(captured) and gc.get_freeze_count():  # a program may keep objects from the collector
        gc.unfreeze()
        tables = _owners(captured)
        gc.collect()
        gc.freeze()
    for table in tables:
        captured.pop(id(table._resource_handle), None)
    for name, inner in captured.values():
        used = next(iter(inner.consumers()), inner.op)
        raise ConversionError(
            f"saved_model: endpoint {name!r}: layer {used.name.rpartition('/')[0] or used.name!r} uses a "
            f"resource ({used.type}) that no SavedModel holds. Keep its values in variables or in lookup "
            "tables, or take them as an input."
        )
    return tables


def _owners(handles: Collection[int]) -> list[Any]:
    from tensorflow.saved_model.experimental import TrackableResource

    return [
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), TrackableResource) and id(thing._resource_handle) in handles
    ]
