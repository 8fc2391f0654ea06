"""Write endpoints as the named signatures of a SavedModel."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_dl_export.errors import ConversionError, first_line
from keras_dl_export.formats.saved_model.saved_model_names import rename_inputs
from keras_dl_export.lowering import any_scope
from keras_dl_export.quiet import silence
from keras_dl_export.tracing import Signature


def write_saved_model(signatures: Mapping[str, Signature], folder: Path) -> None:
    """Write a SavedModel that plain TensorFlow and TensorFlow Serving load.

    The folder contains only the variables and lookup tables that the endpoints use: a module that tracked the
    Keras model itself would be loaded with uninitialized variables.

    Raises:
        ConversionError: TensorFlow cannot save an endpoint.
        OSError: the disk is full or not writable.
    """
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


def _raise_if_of_the_disk(error: Exception) -> None:
    """Raise an OSError if TensorFlow's error contains the system's text of one; it has no error number."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
        if os.strerror(number) in str(error):
            raise OSError(number, os.strerror(number)) from error


def _tables(functions: Mapping[str, Any]) -> list[Any]:
    """Return the lookup tables that functions captured.

    A function has only a table's handle, and a table that is not saved by its owner is loaded empty. The
    owner may be in a list, a closure or a global of a module; only the garbage collector lists them all.

    Raises:
        ConversionError: a function captured a resource that a SavedModel cannot contain.
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
    if len(tables) < len(captured) and gc.get_freeze_count():  # a program may have frozen its objects
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
            f"resource ({used.type}) that a SavedModel cannot contain. Keep its values in variables or in "
            "lookup tables, or take them as an input."
        )
    return tables


def _owners(handles: Collection[int]) -> list[Any]:
    return [
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), tf.saved_model.experimental.TrackableResource)
        and id(thing._resource_handle) in handles
    ]
