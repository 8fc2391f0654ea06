"""SavedModels, through a TensorFlow 1 session as TensorFlow Serving runs them.

A session loads what `tf.saved_model.load` cannot (models of TensorFlow 1), gives the runtime's own error
messages, and a callable of the session costs a fifth of `session.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import CallableOptions, RunOptions
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from keras_dl_serving.dtypes import Array
from keras_dl_serving.errors import Code, FailedPrecondition, InvalidArgument, NotFound, StatusError, Unknown
from keras_dl_serving.server.engines import Threads
from keras_dl_serving.signatures import Signature, from_proto, read_all
from keras_dl_serving.wire import messages, tensors


class SavedModelEngine:
    """One SavedModel in one session."""

    def __init__(self, version_folder: Path, threads: Threads) -> None:
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads.within, inter_op_parallelism_threads=threads.between
        )
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                loader = SavedModelLoader(str(version_folder))
                meta_graph = loader.load(self._session, [tf.saved_model.SERVING])
        except Exception as error:
            self._session.close()
            raise _status_error(error) from error
        protos = messages.SignatureDefMap.FromString(_serialised_signatures(meta_graph))
        self.signature_def_map = protos.SerializeToString()
        self.signatures: Mapping[str, Signature] = read_all(protos.signature_def, from_proto)[0]
        self._protos = {name: protos.signature_def[name] for name in self.signatures}
        self._defaults = {name: _defaults(proto) for name, proto in self._protos.items()}
        self._run_options = RunOptions()
        if threads.between <= 1:
            # In the thread that asks: the way to TensorFlow's own costs more than a small model.
            self._run_options.inter_op_thread_pool = -1
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}

    def run(self, signature_name: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Compute the named outputs."""
        call = self._callable(signature_name, tuple(outputs))
        if self._defaults[signature_name]:
            inputs = {**self._defaults[signature_name], **inputs}
        try:
            results = call(*[inputs[name] for name in self.signatures[signature_name].inputs])
        except tf.errors.OpError as error:
            raise _status_error(error) from error
        except UnicodeDecodeError as error:  # its message quotes bytes of the request that are no text
            raise InvalidArgument(error.object.decode("utf-8", "replace")) from error
        return [_as_array(result) for result in results]

    def close(self) -> None:
        """Close the session."""
        self._callables.clear()
        self._session.close()

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


def _serialised_signatures(meta_graph: Any) -> bytes:
    collected = messages.SignatureDefMap()
    for name, signature in meta_graph.signature_def.items():
        collected.signature_def[name].ParseFromString(signature.SerializeToString())
    return collected.SerializeToString()


def _defaults(proto: messages.SignatureDef) -> dict[str, Array]:
    return {
        name: tensors.read(messages.TensorProto.FromString(default.SerializeToString()))
        for name, default in proto.defaults.items()
    }


def _tensor_name(info: messages.TensorInfo) -> str:
    if not info.name:
        raise FailedPrecondition("Signatures of sparse and composite tensors cannot be asked for predictions")
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
    if isinstance(error, OSError | RuntimeError):  # no readable file, or no graph to serve
        return NotFound(str(error))
    return Unknown(f"{type(error).__name__}: {error}")
