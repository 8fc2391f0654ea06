"""Quantize a TFLite model while it is converted."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_dl_export.quantization import Quantization


def quantize_tflite(converter: Any, quantization: Quantization) -> None:
    """Configure a TFLite converter; without `integer_io`, inputs and outputs keep their dtypes."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization.kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization.kind == "int8":
        # An endpoint without rows is converted, too; its activations stay float32.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            (signature, dict(row)) for signature, rows in quantization.rows.items() for row in rows
        )
        if quantization.integer_io:
            converter.inference_input_type = converter.inference_output_type = tf.int8
