"""Layers with any name in TensorFlow's graph."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_dl_export.lowering.patching import patched

_UNFIT = re.compile(r"[^A-Za-z0-9_.\\/>-]")  # characters that TensorFlow's scopes must not contain


class Scopes:
    """The scope of a failed layer.

    Attributes:
        failed: the innermost layer that raised an error, or an empty string.
        graph: its graph.
    """

    failed = ""
    graph: Any = None


@contextlib.contextmanager
def any_scope() -> Iterator[Scopes]:
    """Trace layers with names in any script, with `_` for characters that TensorFlow does not support.

    Keras names its scopes after layers. TensorFlow's scopes are ASCII, and the outermost must not start with
    `_`.
    """
    scopes = Scopes()

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def name_scope(graph: Any, name: str | None) -> Iterator[str]:
            fit = name
            if name:
                fit = _UNFIT.sub("_", name)
                if not graph.get_name_scope() and not fit[0].isalnum() and fit[0] != ".":
                    fit = f"layer{fit}"
            with kept(graph, fit) as scope:
                try:
                    yield scope
                except BaseException:
                    # A branch or a body has a separate graph; the layer is in the outer one.
                    if name and scopes.graph is not graph:
                        scopes.failed, scopes.graph = graph.get_name_scope(), graph
                    raise

        return name_scope

    with patched(tf.Graph, "name_scope", replace):
        yield scopes
