"""A check of a model's weights before the export."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_dl_export.errors import ConversionError


def refuse_non_finite_weights(model: Any) -> None:
    """Raise a ConversionError that names the weight if a weight is NaN or infinite.

    Args:
        model: a built Keras model.
    """
    for weight in model.weights:
        if "float" not in str(weight.dtype):
            continue
        values = np.asarray(weight.value)
        with np.errstate(over="ignore"):
            # A sum is finite only if all summands are; this needs no second array of the weight's size.
            if np.isfinite(np.sum(values, dtype=np.float64)):
                continue
        wrong = int(values.size - np.count_nonzero(np.isfinite(values)))
        if wrong:
            raise ConversionError(
                f"model: expected finite weights, got NaN or infinity in {wrong} of the {values.size} "
                f"elements of {weight.path!r}. Its training diverged: train it again at a lower learning "
                "rate, or load the weights of an earlier epoch."
            )
