"""What a training asks of the process it runs in: precision, reproducibility."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


def make_reproducible(seed: int, *, deterministic: bool = False) -> None:
    """The switch for reproducible training: seeds, and deterministic kernels where they are needed.

    Python's, NumPy's and Keras's global generators are seeded. On CPU that is enough: the kernels that these
    models train with give the same bits in every process. On GPU some do not, unless `deterministic` makes
    TensorFlow choose others, until the process ends. They cost speed (on CPU, where they change the input
    pipeline alone, up to a tenth), and a few operations have none and raise an error.

    Args:
        seed: of the generators.
        deterministic: choose deterministic kernels.
    """
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Keras's global dtype policy within the block.

    Raises:
        ValueError: `name` is no policy for training.
    """
    known = ("float32", "mixed_bfloat16", "mixed_float16")
    if name not in known:
        raise ValueError(f"precision: expected one of {', '.join(known)}, got {name!r}. Name one of them.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
