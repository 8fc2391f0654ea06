"""Cross-entropy of a language model in nats or bits per character."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray


def nats_per_character(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the mean of -log p(next character), p = softmax(logits).

    Args:
        logits: (..., V).
        targets: ids of the next characters, (...).

    Raises:
        ValueError: the shapes do not match, or an id is not below V.
    """
    logits, targets = np.asarray(logits, np.float64), np.asarray(targets)
    if logits.shape[:-1] != targets.shape or not targets.size:
        raise ValueError(
            f"targets: expected one id for each row of logits {logits.shape}, got shape {targets.shape}. "
            "Pass logits (B, T, V) with targets (B, T)."
        )
    if targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ValueError(
            f"targets: expected ids from 0 to {logits.shape[-1] - 1}, got {targets.min()} to "
            f"{targets.max()}. Encode the text with the vocabulary of the model."
        )
    highest = logits.max(axis=-1)
    log_normalizer = highest + np.log(np.exp(logits - highest[..., np.newaxis]).sum(axis=-1))
    chosen: NDArray[np.float64] = np.take_along_axis(logits, targets[..., np.newaxis], axis=-1)[..., 0]
    return float((log_normalizer - chosen).mean())


def bits_per_character(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return `nats_per_character` in bits: divided by log 2.

    Args:
        logits: (..., V).
        targets: ids of the next characters, (...).
    """
    return nats_per_character(logits, targets) / math.log(2)


@keras.saving.register_keras_serializable("keras_dl")
class BitsPerCharacter(keras.metrics.MeanMetricWrapper):
    """`bits_per_character` as a Keras metric, for `compile(metrics=[...])`.

    It is the mean of -log2 p(next character) over all characters since the last reset; in nats it is the loss
    `sparse_categorical_crossentropy`.

    Args:
        from_logits: whether the outputs (..., V) of the model are logits rather than probabilities.
        name: the name in the logs.
    """

    def __init__(self, from_logits: bool = True, name: str = "bits_per_character", **kwargs: Any) -> None:
        super().__init__(_bits, name=name, from_logits=from_logits, **kwargs)
        self.from_logits = from_logits

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"name": self.name, "dtype": self.dtype, "from_logits": self.from_logits}


def _bits(y_true: Any, y_pred: Any, from_logits: bool) -> Any:
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits) / math.log(2)
