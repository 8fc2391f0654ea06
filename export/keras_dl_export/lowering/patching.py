"""Temporarily replace attributes of Keras, TensorFlow and tf2onnx: one lock, one mechanism, one list.

A model is traced for a target by replacing functions that it calls, in the tracing thread only. `patched`
makes all replacements in the package. They share one lock, so that they cannot deadlock and none restores
another thread's replacement. If the lock of `quiet.silence` is also needed, it is acquired first.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

_lock = threading.RLock()

# Every module and attribute that is private to Keras, TensorFlow, tf2onnx or LiteRT and used in this package.
# A new version of one of them may remove a name; a test checks each.
PRIVATE_NAMES = (
    "ai_edge_litert.interpreter.SignatureRunner._inputs",
    "keras.Layer._call_has_training_arg",
    "keras.Model._build_shapes_dict",
    "keras.Model._flatten_layers",
    "keras.layers.LSTMCell._compute_carry_and_output",
    "keras.layers.LSTMCell._compute_carry_and_output_fused",
    "keras.src.backend.tensorflow.numpy.argmax",
    "keras.src.backend.tensorflow.numpy.argmin",
    "keras.src.backend.tensorflow.random.dropout",
    "keras.src.backend.tensorflow.random.gamma",
    "keras.src.backend.tensorflow.random.normal",
    "keras.src.backend.tensorflow.random.randint",
    "keras.src.backend.tensorflow.random.truncated_normal",
    "keras.src.backend.tensorflow.random.uniform",
    "keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer."
    "BaseImagePreprocessingLayer",
    "keras.src.layers.rnn.dropout_rnn_cell.DropoutRNNCell._create_dropout_mask",
    "keras.src.ops.image._resize",
    "keras.src.ops.image.resize",
    "tensorflow.compiler.tf2xla.ops.gen_xla_ops.xla_dynamic_update_slice",
    "tensorflow.core.protobuf.saved_model_pb2.SavedModel",
    "tensorflow.lookup.StaticHashTable._resource_handle",
    "tensorflow.python.eager.context.context",
    "tensorflow.python.eager.execute.execute",
    "tensorflow.python.framework.func_graph.FuncGraph._create_op_internal",
    "tensorflow.python.framework.function_def_to_graph.function_def_to_graph",
    "tensorflow.python.framework.op_def_library.apply_op",
    "tensorflow.python.framework.op_def_registry.get",
    "tensorflow.python.framework.tensor_util.constant_value_as_shape",
    "tensorflow.python.ops.gen_random_ops.random_standard_normal",
    "tensorflow.python.ops.gen_random_ops.random_uniform",
    "tensorflow.python.ops.gen_random_ops.random_uniform_int",
    "tensorflow.python.ops.gen_random_ops.truncated_normal",
    "tensorflow.python.ops.nn_ops._dropout",
    "tensorflow.types.experimental.PolymorphicFunction._clone",
    "tensorflow.types.experimental.PolymorphicFunction._jit_compile",
    "tf2onnx.onnx_opset.nn.PoolOp._convert",
    "tf2onnx.optimizer._get_optimizers",
    "tf2onnx.optimizer.back_to_back_optimizer._func_map",
    "tf2onnx.tfonnx.rewrite_gru_tf2",
    "tf2onnx.tfonnx.rewriter_lstm_tf2",
)


@contextlib.contextmanager
def patched(owner: Any, name: str, replace: Callable[[Any], Any]) -> Iterator[None]:
    """Replace an attribute until the block ends, for calls in this thread only.

    Args:
        owner: a class or module.
        name: the name of its function, method or property.
        replace: maps the attribute to its replacement.
    """
    with _lock:
        own = name in vars(owner)
        kept = getattr(owner, name)
        setattr(owner, name, _in_this_thread(kept, replace(kept)))
        try:
            yield
        finally:
            if own:
                setattr(owner, name, kept)
            else:  # it was inherited
                delattr(owner, name)


def _in_this_thread(kept: Any, replacement: Any) -> Any:
    """Return a function or property that calls the replacement in this thread and `kept` in others."""
    if isinstance(kept, property):
        return property(_in_this_thread(kept.fget, replacement), doc=kept.__doc__)
    thread = threading.get_ident()

    @functools.wraps(kept)
    def call(*arguments: Any, **named: Any) -> Any:
        return (replacement if threading.get_ident() == thread else kept)(*arguments, **named)

    return call
