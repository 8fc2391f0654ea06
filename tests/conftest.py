"""What keeps a process of three thousand tests quick: TensorFlow leaves millions of objects behind."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Generator
from typing import Any

import pytest


def pytest_runtest_setup() -> None:
    if "keras" in sys.modules:
        _untune_arrays()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None, item: pytest.Item) -> Generator[None, Any, Any]:
    """What is alive after a file's last test stays: later collections need not walk through it."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return result


@functools.cache
def _untune_arrays() -> None:
    """Keras's data sets of arrays end as ours do, without waiting for their tuners (`untuned` says why).

    Tests give `fit` many arrays that it refuses, and the iterators die with the tracebacks.
    """
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    from keras_dl.data.pipeline import untuned

    original = ArrayDataAdapter.get_tf_dataset
    ArrayDataAdapter.get_tf_dataset = lambda adapter: untuned(original(adapter))
