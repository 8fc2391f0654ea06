"""SavedModels in a TensorFlow 1 session, as TensorFlow Serving runs them.

A session loads what `tf.saved_model.load` cannot (models of TensorFlow 1), gives the runtime's own error
messages, and a callable of the session costs a fifth of `session.run`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import CallableOptions, RunOptions
from tensorflow.python.client import pywrap_tf_session as tf_session
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from keras_dl_export.dtypes import Array
from keras_dl_serving.errors import (
    Code,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StatusError,
    UnknownError,
)
from keras_dl_serving.protocol.signatures import Signature, from_proto, read_all
from keras_dl_serving.protocol.wire import messages, tensors
from keras_dl_serving.server.engines.engine import Cancellation, Threads

_LOOPS = ("While", "StatelessWhile", "NextIteration", "RefNextIteration")
_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_QUICK_SECONDS = 0.02
_MAX_KINDS = 10_000
_MAX_MILLISECONDS = 2**31 - 1


class SavedModelEngine:
    """A SavedModel in a session."""

    def __init__(self, version_folder: Path, threads: Threads) -> None:
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads.within, inter_op_parallelism_threads=threads.between
        )
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                loader = _Loader(str(version_folder))
                meta_graph = loader.load(self._session, [tf.saved_model.SERVING])
        except Exception as error:
            self._session.close()
            raise _status_error(error) from error
        protos = messages.SignatureDefMap.FromString(_serialized_signatures(meta_graph))
        self.signature_def_map = protos.SerializeToString()
        self.signatures: Mapping[str, Signature]
        self.signatures, unreadable = read_all(protos.signature_def, from_proto)
        self.refused: Mapping[str, str] = {
            name: f'Serving signature "{name}" cannot be served: {reason}'
            for name, reason in unreadable.items()
        }
        self._protos = {name: protos.signature_def[name] for name in self.signatures}
        self._defaults = {name: _defaults(proto) for name, proto in self._protos.items()}
        self._run_options = RunOptions()
        if threads.between <= 1:
            # In the caller's thread: switching to TensorFlow's own costs more than a small model.
            self._run_options.inter_op_thread_pool = -1
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        self._places: dict[tuple[str, tuple[str, ...]], tuple[list[Any], list[Any]]] = {}
        # Runs that were quick, by signature, outputs and shapes, and will be again: they need no time limit
        # and run in the caller's thread. Only the duration of a loop depends on the values.
        self._quick: set[tuple[Any, ...]] = set()
        self._has_loops = _has_loops(meta_graph.graph_def)

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        cancellation: Cancellation | None = None,
    ) -> list[Array]:
        """Compute the named outputs."""
        if self._defaults[signature_name]:
            inputs = {**self._defaults[signature_name], **inputs}
        if cancellation:
            cancellation.check()
        feeds = [inputs[name] for name in self.signatures[signature_name].inputs]
        try:
            results = self._run(signature_name, tuple(outputs), feeds, cancellation)
        except tf.errors.OpError as error:
            raise _status_error(error) from error
        except UnicodeDecodeError as error:  # its message quotes bytes of the request that are not text
            raise InvalidArgumentError(error.object.decode("utf-8", "replace")) from error
        return [_as_array(result) for result in results]

    def close(self) -> None:
        """Close the session."""
        self._callables.clear()
        self._session.close()

    def _run(
        self,
        signature_name: str,
        outputs: tuple[str, ...],
        feeds: list[Array],
        cancellation: Cancellation | None,
    ) -> list[Any]:
        kind = (signature_name, outputs, *(array.shape for array in feeds))
        deadline = None if cancellation is None or kind in self._quick else cancellation.deadline
        began = time.monotonic()
        if deadline is None:
            results = self._callable(signature_name, outputs)(*feeds)
        else:
            results = self._run_until(deadline, signature_name, outputs, feeds)
        if (
            not self._has_loops
            and time.monotonic() - began < _QUICK_SECONDS
            and len(self._quick) < _MAX_KINDS
        ):
            self._quick.add(kind)
        return results

    def _run_until(
        self, deadline: float, signature_name: str, outputs: tuple[str, ...], feeds: list[Array]
    ) -> list[Any]:
        """Run in TensorFlow's threads, which its time limit requires; this costs 0.1 ms."""
        milliseconds = max(math.ceil((deadline - time.monotonic()) * 1e3), 1)
        options = RunOptions(timeout_in_ms=min(milliseconds, _MAX_MILLISECONDS))
        fed, fetched = self._tensors(signature_name, outputs)
        buffer = tf_session.TF_NewBufferFromString(options.SerializeToString())
        try:
            # `session.run` itself checks feeds and fetches, which takes longer than a small model.
            found: list[Any] = self._session._call_tf_sessionrun(
                buffer, dict(zip(fed, feeds, strict=True)), fetched, [], None
            )
        finally:
            tf_session.TF_DeleteBuffer(buffer)
        return found

    def _tensors(self, signature_name: str, outputs: tuple[str, ...]) -> tuple[list[Any], list[Any]]:
        """Return the session's tensors of a signature's inputs and outputs."""
        key = (signature_name, outputs)
        if key not in self._places:
            proto = self._protos[signature_name]
            infos = (
                [proto.inputs[name] for name in self.signatures[signature_name].inputs],
                [proto.outputs[name] for name in outputs],
            )
            fed, fetched = (
                [self._session.graph.get_tensor_by_name(_tensor_name(info))._as_tf_output() for info in each]
                for each in infos
            )
            self._places[key] = fed, fetched
        return self._places[key]

    def _callable(self, signature_name: str, outputs: tuple[str, ...]) -> Callable[..., list[Any]]:
        key = (signature_name, outputs)
        if key not in self._callables:
            proto = self._protos[signature_name]
            options = CallableOptions(
                feed=[_tensor_name(proto.inputs[name]) for name in self.signatures[signature_name].inputs],
                fetch=[_tensor_name(proto.outputs[name]) for name in outputs],
                run_options=self._run_options,
            )
            # The public make_callable goes through session.run and its feed checks as soon as it has inputs.
            self._callables[key] = self._session._make_callable_from_options(options)
        return self._callables[key]


def _serialized_signatures(meta_graph: Any) -> bytes:
    collected = messages.SignatureDefMap()
    for name, signature in meta_graph.signature_def.items():
        collected.signature_def[name].ParseFromString(signature.SerializeToString())
    return collected.SerializeToString()


class _Loader(SavedModelLoader):
    """TensorFlow's loader; like the one in C++, it requires no variables folder for a model without any."""

    def restore_variables(self, sess: Any, saver: Any, import_scope: str | None = None) -> None:
        index = Path(f"{self._variables_path}.index")
        if index.exists():
            super().restore_variables(sess, saver, import_scope)
        elif any(node.op in _VARIABLES for node in sess.graph.as_graph_def().node):
            raise FileNotFoundError(
                f"The model has variables, but {index} is missing. Copy the whole folder of the version."
            )


def _has_loops(graph: Any) -> bool:
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    return any(node.op in _LOOPS for node in nodes)


def _defaults(proto: messages.SignatureDef) -> dict[str, Array]:
    return {
        name: tensors.read(messages.TensorProto.FromString(default.SerializeToString()))
        for name, default in proto.defaults.items()
    }


def _tensor_name(info: messages.TensorInfo) -> str:
    if not info.name:
        raise FailedPreconditionError(
            "Signatures of sparse and composite tensors cannot be asked for predictions"
        )
    return info.name


def _as_array(result: Any) -> Array:
    if isinstance(result, bytes):  # a scalar string
        array = np.empty((), object)
        array[()] = result
        return array
    return np.asarray(result)


def _status_error(error: Exception) -> StatusError:
    if isinstance(error, tf.errors.OpError):
        return StatusError.of(Code(error.error_code), error.message)
    if isinstance(error, OSError | RuntimeError):  # not a readable file, or no graph to serve
        return NotFoundError(str(error))
    return UnknownError(f"{type(error).__name__}: {error}")
