"""Servers of other authors: they use what TensorFlow Serving's protocol allows, or violate it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

Answer = tuple[int, bytes]


@dataclass
class RestModel:
    """A model `m`, `x -> y`, whose responses and signature a test can change.

    Attributes:
        takes: TensorFlow's name of the dtype of `x`.
        gives: and of `y`.
        y: the answer, or what makes it from the value of `x`.
        asked: the verbs of what was asked.
    """

    takes: str = "DT_FLOAT"
    gives: str = "DT_FLOAT"
    y: Any = None
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> Answer:
        """Return the response for a path and a body; `rest_peer` calls it."""
        self.asked.append(path.removeprefix("/v1/models/m").lstrip("/:"))
        if path.endswith("/metadata"):
            shape = {"dim": [{"size": "-1"}]}
            signature = {
                "inputs": {"x": {"dtype": self.takes, "tensor_shape": shape, "name": "x:0"}},
                "outputs": {"y": {"dtype": self.gives, "tensor_shape": shape, "name": "y:0"}},
                "method_name": "tensorflow/serving/predict",
            }
            return _ok(
                {
                    "model_spec": {"name": "m", "signature_name": "", "version": "1"},
                    "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
                }
            )
        x = json.loads(body)["inputs"]["x"]
        if self.takes == "DT_INT64" and any(type(each) is not int for each in x):
            return 400, b'{"error": "JSON Value: 1.0 Type: Number is not of expected type: int64"}'
        return _ok({"outputs": self.y(x) if callable(self.y) else self.y})


def _ok(document: Any) -> Answer:
    return 200, json.dumps(document).encode()


@contextmanager
def rest_peer(answer: Callable[[str, bytes], Answer]) -> Iterator[str]:
    """Yield the URL of a web server that returns `answer(path, body)`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, content = answer(self.path, self.rfile.read(int(self.headers.get("content-length", 0))))
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def trickling_peer(head: bytes) -> Iterator[str]:
    """Yield the URL of a server that sends `head` at once, and then a space every 50 ms."""
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while not done.wait(0.05):
                connection.sendall(b" ")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        listener.shutdown(socket.SHUT_RDWR)


@dataclass
class GrpcPeer:
    """A server of a model `x -> double, negative`, built on the official stubs.

    Attributes:
        filters: whether it sends only what was asked for.
        filtered: the outputs that each prediction asked for.
        state: the state of its version.
        reload_error: the code that a reload ends with.
        takes: TensorFlow's number of the dtype of `x`.
    """

    filters: bool = True
    filtered: list[list[str]] = field(default_factory=list)
    state: int = 30
    reload_error: int = 0
    takes: int = 1
    url: str = ""

    @contextmanager
    def serving(self, *, model_service: bool = True) -> Iterator[GrpcPeer]:
        """Yield the server, with its URL."""
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        server = grpc.server(ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_predictions(self), server)
        if model_service:
            model_service_pb2_grpc.add_ModelServiceServicer_to_server(_models(self), server)
        self.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield self
        finally:
            server.stop(0).wait()


def _predictions(peer: GrpcPeer) -> Any:
    import tensorflow as tf
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        # Classify, Regress and MultiInference stay as the stubs have them: not implemented.

        def GetModelMetadata(self, request: Any, context: Any) -> Any:
            signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
            for infos, names in ((signature.inputs, "x"), (signature.outputs, ("double", "negative"))):
                for name in names:
                    infos[name].dtype = peer.takes
                    infos[name].tensor_shape.dim.add(size=-1)
            found = get_model_metadata_pb2.SignatureDefMap(signature_def={"serving_default": signature})
            variant = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
            variant.inputs["handle"].dtype = tf.variant.as_datatype_enum
            found.signature_def["of_variants"].CopyFrom(variant)
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
            response.metadata["signature_def"].Pack(found)
            return response

        def Predict(self, request: Any, context: Any) -> Any:
            peer.filtered.append(list(request.output_filter))
            x = tf.make_ndarray(request.inputs["x"])
            if request.inputs["x"].dtype != peer.takes:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "x has another dtype")
            response = predict_pb2.PredictResponse()  # says no version
            for name, value in (("double", 2 * x), ("negative", -x)):
                if not peer.filters or not request.output_filter or name in request.output_filter:
                    response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    return Predictions()


def _models(peer: GrpcPeer) -> Any:
    from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

    class Models(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
        def GetModelStatus(self, request: Any, context: Any) -> Any:
            response = get_model_status_pb2.GetModelStatusResponse()
            # An open enum of proto3: any number is legal on the wire.
            response.model_version_status.add(version=1).state = peer.state
            return response

        def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
            response = model_management_pb2.ReloadConfigResponse()
            response.status.error_code = peer.reload_error
            response.status.error_message = "refused"
            return response

    return Models()
