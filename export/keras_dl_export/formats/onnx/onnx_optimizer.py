"""tf2onnx's optimizer, without its memory leaks and wrong merges."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import helper
from tf2onnx import optimizer
from tf2onnx.optimizer import back_to_back_optimizer


def optimize(graph: Any) -> Any:
    """Return the optimized graph.

    Each pass copies the graph including the weights, and leaves the copy in reference cycles, which Python
    collects late: MobileNetV2's 14 MB grow to about 430 MB. Therefore they are collected before each pass.
    """

    def after_collection(make: Callable[[], Any]) -> Callable[[], Any]:
        def collect_and_make() -> Any:
            gc.collect()
            return make()

        return collect_and_make

    passes = {name: after_collection(make) for name, make in optimizer._get_optimizers().items()}
    with _others_set_aside(), _equal_merges():
        return optimizer.optimize_graph(graph, optimizers=passes)


@contextlib.contextmanager
def _others_set_aside() -> Iterator[None]:
    """Restrict garbage collection to new objects: a collection of TensorFlow's objects takes 0.3 s."""
    if gc.get_freeze_count():  # frozen permanently by the caller
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def _equal_merges() -> Iterator[None]:
    """Merge two casts or two reshapes only if the result is the same.

    tf2onnx removes the first of two reshapes even if a 0 in the second refers to a size of the first, and the
    first of two casts even if it rounds or overflows.
    """
    merges = back_to_back_optimizer._func_map
    conditions = {("Reshape",): _copies_no_size, ("Cast",): _keeps_values}
    kept = {operators: merges[operators] for operators in conditions}

    def guard(operators: tuple[str]) -> Callable[[Any, Any, list[Any]], list[Any]]:
        def merge(graph: Any, node: Any, consumers: list[Any]) -> list[Any]:
            merged: list[Any] = []
            if conditions[operators](graph, node, consumers):
                merged = kept[operators](graph, node, consumers)
            return merged

        return merge

    merges.update({operators: guard(operators) for operators in conditions})
    try:
        yield
    finally:
        merges.update(kept)


def _copies_no_size(graph: Any, node: Any, consumers: list[Any]) -> bool:
    shapes = [consumer.inputs[1] for consumer in consumers]
    return all(not shape.is_const() or 0 not in shape.get_tensor_value(as_list=False) for shape in shapes)


def _keeps_values(graph: Any, node: Any, consumers: list[Any]) -> bool:
    """Return whether a cast is to a dtype that represents every value."""
    given, made = (
        helper.tensor_dtype_to_np_dtype(number)
        for number in (graph.get_dtype(node.input[0]), node.get_attr_value("to"))
    )
    wide = given.kind in "iu" and given.itemsize == 8 and made.kind == "f"  # NumPy calls this safe
    return bool(np.can_cast(given, made, "safe") and not wide)
