"""TensorFlow operators that a target computes differently, replaced while a graph is traced.

The replacement happens where every operator of a graph is created. It therefore applies to `keras.ops`, a
layer's own code and plain `tf` calls, including loops and nested functions, and has access to shapes and
constants.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from keras_dl_export.lowering.patching import patched

Tensor = Any


@dataclass(frozen=True)
class Operator:
    """An operator that is about to be created.

    Attributes:
        type: TensorFlow's name of the operator.
        inputs: its input tensors.
        attributes: its `AttrValue`s by name.
    """

    type: str
    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Replacement:
    """A replacement of an operator.

    Attributes:
        write: creates the operator's outputs from other operators: one tensor, or one per output.
        needed: whether the target computes this operator differently, for instance only for some dtypes.
    """

    write: Callable[[Operator], Any]
    needed: Callable[[Operator], bool] = lambda operator: True


Replacements = Mapping[str, Sequence[Replacement]]


@contextlib.contextmanager
def replaced_operators(replacements: Replacements, *, write: bool = True) -> Iterator[set[str]]:
    """Replace operators in the graphs that this thread traces.

    Args:
        replacements: operator type -> replacements, of which the first needed one applies. Operators inside a
            replacement are not replaced.
        write: False replaces nothing and only records which operators would have been replaced.

    Yields:
        The types that occurred and needed a replacement.
    """
    met: set[str] = set()
    inside = False

    def replace(kept: Callable[..., Any]) -> Callable[..., Any]:
        def create(
            graph: Any,
            op_type: str,
            inputs: Sequence[Tensor],
            dtypes: Any = None,
            input_types: Any = None,
            name: str | None = None,
            attrs: Mapping[str, Any] | None = None,
            *rest: Any,
            **named: Any,
        ) -> Any:
            nonlocal inside
            if op_type in replacements and not inside:
                operator = Operator(op_type, tuple(inputs), attrs or {})
                replacement = next((one for one in replacements[op_type] if one.needed(operator)), None)
                if replacement is not None:
                    met.add(op_type)
                    if write:
                        inside = True
                        try:
                            with graph.as_default(), tf.name_scope(name or op_type):
                                return _only_output(replacement.write(operator))
                        finally:
                            inside = False
            return kept(graph, op_type, inputs, dtypes, input_types, name, attrs, *rest, **named)

        return create

    with patched(FuncGraph, "_create_op_internal", replace):
        yield met


def _only_output(outputs: Any) -> Any:
    """Return an operator with exactly these outputs."""
    if isinstance(outputs, list | tuple):
        return tf.identity_n(list(outputs))[0].op
    if len(outputs.op.outputs) > 1:
        outputs = tf.identity(outputs)
    return outputs.op
