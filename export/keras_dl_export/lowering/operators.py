"""TensorFlow operators that a target computes differently, replaced while a graph is traced.

The replacement acts where every operator of a graph is created: it meets `keras.ops`, a layer's own code and
plain `tf` calls alike, in loops and nested functions too, and has their shapes and constants.
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
        type: TensorFlow's name of it.
        inputs: the tensors that go in.
        attributes: its `AttrValue`s by name.
    """

    type: str
    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Replacement:
    """A replacement for an operator.

    Attributes:
        write: makes the operator's outputs from other operators: one tensor, or as many as it has.
        needed: whether the target computes this operator differently, possibly for some dtypes only.
    """

    write: Callable[[Operator], Any]
    needed: Callable[[Operator], bool] = lambda operator: True


Replacements = Mapping[str, Sequence[Replacement]]


@contextlib.contextmanager
def replaced_operators(replacements: Replacements, *, write: bool = True) -> Iterator[set[str]]:
    """Replace operators as they are created in graphs that this thread traces.

    Args:
        replacements: by the type of the operator; the first that is needed is taken. Inside a replacement
            every operator is what it is.
        write: False leaves every operator as it is, and only notes which ones would have been replaced.

    Yields:
        The types that were met and needed to be replaced.
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
    """Return an operator that has exactly these outputs."""
    if isinstance(outputs, list | tuple):
        return tf.identity_n(list(outputs))[0].op
    if len(outputs.op.outputs) > 1:
        outputs = tf.identity(outputs)
    return outputs.op
