"""All operators that are replaced for TFLite."""

from __future__ import annotations

from keras_dl_export.lowering.operators import Replacement
from keras_dl_export.lowering.tflite_arrays import ON_ARRAYS
from keras_dl_export.lowering.tflite_floats import ON_FLOATS
from keras_dl_export.lowering.tflite_integers import ON_INT64, ON_INTEGERS, ON_NARROW

_TABLES = (ON_ARRAYS, ON_FLOATS, ON_INTEGERS, ON_INT64, ON_NARROW)

TFLITE_OPERATORS: dict[str, tuple[Replacement, ...]] = {
    name: tuple(table[name] for table in _TABLES if name in table)
    for name in sorted({name for table in _TABLES for name in table})
}
