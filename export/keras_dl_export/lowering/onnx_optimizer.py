"""tf2onnx's optimiser, without what it leaves behind."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any


def optimize(graph: Any) -> Any:
    """Return the optimised graph.

    Each pass works on a copy of the graph, weights included, and leaves it in cycles that Python collects
    late: of MobileNetV2's 14 MB some 430 MB are left. So they are collected before each pass.
    """
    from tf2onnx import optimizer

    def after_collection(make: Callable[[], Any]) -> Callable[[], Any]:
        def collect_and_make() -> Any:
            gc.collect()
            return make()

        return collect_and_make

    passes = {name: after_collection(make) for name, make in optimizer._get_optimizers().items()}
    with _others_set_aside():
        return optimizer.optimize_graph(graph, optimizers=passes)


@contextlib.contextmanager
def _others_set_aside() -> Iterator[None]:
    """Let the collector look at new objects alone: TensorFlow's are so many that each look takes 0.3 s."""
    if gc.get_freeze_count():  # somebody has set them aside for good
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
