"""Which tests run, in how many processes, and what keeps a process of many tests quick."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Generator
from typing import Any

import pytest

from tests._support.progress import Progress

FAST = "(not slow)"  # as addopts in pyproject.toml has it; an expression of the user has no parentheses


def _names_files(config: pytest.Config) -> bool:
    """Return whether each argument is a file or a test, rather than a folder."""
    return all(argument.partition("::")[0].endswith(".py") for argument in config.args)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(Progress())


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run all tests of a file that is named, the slow ones included."""
    if config.option.markexpr == FAST and _names_files(config):
        config.option.markexpr = ""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return 3 for folders, and 0 for files: each further process imports TensorFlow, which takes seconds.

    Three on two cores, because tests wait, and because a process grows with every model that it builds.
    """
    return 0 if _names_files(config) else 3


def pytest_runtest_setup() -> None:
    if "keras" in sys.modules:
        _untune_arrays()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """Exempt what is alive after a file from later collections: TensorFlow leaves millions of objects."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
        _trim_heap()
    return result


def _trim_heap() -> None:
    """Return freed memory to the system; glibc keeps what TensorFlow's threads have freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@functools.cache
def _untune_arrays() -> None:
    """Make Keras's data sets of arrays end without a wait for their tuners (`untuned` has the reason).

    Tests give `fit` many arrays that it refuses, and the iterators are destroyed with the tracebacks.
    """
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    from keras_dl.data.pipeline import untuned

    original = ArrayDataAdapter.get_tf_dataset
    ArrayDataAdapter.get_tf_dataset = lambda adapter: untuned(original(adapter))
