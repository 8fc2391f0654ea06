"""The operators that are replaced for TFLite."""

from __future__ import annotations

from keras_dl_export.formats.tflite.tflite_arrays import ON_ARRAYS
from keras_dl_export.formats.tflite.tflite_floats import ON_FLOATS
from keras_dl_export.formats.tflite.tflite_images import ON_IMAGES
from keras_dl_export.formats.tflite.tflite_integers import ON_INT64, ON_INTEGERS
from keras_dl_export.formats.tflite.tflite_widths import ON_FLOAT16, ON_NARROW, ON_UINT32
from keras_dl_export.lowering.operators import Replacement

# The first replacement that is needed applies: float16 comes before those of any float.
_TABLES = (ON_FLOAT16, ON_ARRAYS, ON_FLOATS, ON_IMAGES, ON_INTEGERS, ON_INT64, ON_NARROW, ON_UINT32)

TFLITE_OPERATORS: dict[str, tuple[Replacement, ...]] = {
    name: tuple(table[name] for table in _TABLES if name in table)
    for name in sorted({name for table in _TABLES for name in table})
}
