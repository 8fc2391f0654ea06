"""Reproducibility and precision of training in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import keras
import tensorflow as tf

from keras_dl.recipes.recipe import Precision


def make_reproducible(seed: int, *, deterministic: bool = False) -> None:
    """Seed all random generators, and optionally select deterministic kernels.

    Python's, NumPy's and Keras's global generators are seeded. This is sufficient on CPUs, where the kernels
    of these models give the same bits in every process. On GPUs some kernels do not, unless `deterministic`
    selects deterministic ones, until the process ends. These are slower (by up to 10% on CPUs, where they
    only affect the input pipeline), and a few operations have none and raise an error.

    Args:
        seed: seed of the generators.
        deterministic: select deterministic kernels.
    """
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set Keras's global dtype policy within the block.

    Raises:
        ValueError: `name` is not a policy for training.
    """
    known = get_args(Precision)
    if name not in known:
        raise ValueError(f"precision: expected one of {', '.join(known)}, got {name!r}. Pass one of them.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
