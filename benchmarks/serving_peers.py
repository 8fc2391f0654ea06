"""The peers of the serving benchmark: typical custom servers, and bare servers as a lower bound.

    python benchmarks/serving_peers.py KIND PORT [MODEL]

`grpc-echo`, `grpc-bare` (a session over raw bytes), `json` (orjson and a session), `fastapi-predict` and
`fastapi-call` (a Keras model behind FastAPI).
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def serve_grpc(port: int, predict: Any) -> None:
    """Serve a raw-bytes handler on gRPC's threaded server, which is its fastest for a few clients."""
    import grpc

    server = grpc.server(ThreadPoolExecutor(8), options=_UNLIMITED)
    handler = grpc.unary_unary_rpc_method_handler(lambda message, _: predict(message))
    service = grpc.method_handlers_generic_handler(
        "tensorflow.serving.PredictionService", {"Predict": handler}
    )
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def session(folder: str) -> Any:
    """Return a session callable of a SavedModel's only input, and the input's shape with a batch of 1."""
    import tensorflow as tf
    from tensorflow.core.protobuf.config_pb2 import CallableOptions
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    graph = tf.Graph()
    opened = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        meta_graph = SavedModelLoader(folder).load(opened, ["serve"])
    signature = meta_graph.signature_def["serving_default"]
    (given,) = signature.inputs.values()
    options = CallableOptions(feed=[given.name], fetch=[each.name for each in signature.outputs.values()])
    shape = [max(dim.size, 1) for dim in given.tensor_shape.dim]
    return opened._make_callable_from_options(options), shape


def grpc_bare(port: int, folder: str) -> None:
    """Serve a session: the end of a request is the array, the response is the bytes of the results."""
    import gc

    call, shape = session(folder)
    size = 4 * int(np.prod(shape))
    gc.collect()
    gc.freeze()

    def predict(message: bytes) -> bytes:
        array = np.frombuffer(message[-size:], np.float32).reshape(shape)
        return b"".join(result.tobytes() for result in call(array))

    serve_grpc(port, predict)


def serve_http(port: int, app: Any) -> None:
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def json_server(port: int, folder: str) -> None:
    """Serve a session behind orjson in both directions."""
    import orjson
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    call, _ = session(folder)

    async def predict(request: Request) -> Response:
        array = np.asarray(orjson.loads(await request.body())["instances"], np.float32)
        (result,) = call(array)
        body = orjson.dumps({"predictions": result}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")

    serve_http(port, Starlette(routes=[Route("/", predict, methods=["POST"])]))


def fastapi_server(port: int, *, predict: bool) -> None:
    """Serve a Keras model behind FastAPI as in tutorials, with `model.predict` or `model(x)`."""
    from fastapi import FastAPI

    from keras_dl.models import CNN

    model = CNN.from_preset("cnn-mnist")
    app = FastAPI()

    @app.post("/")
    def answer(images: dict[str, Any]) -> dict[str, Any]:
        array = np.asarray(images["instances"], np.float32)
        logits = model.predict(array, verbose=0) if predict else model(array, training=False).numpy()
        return {"predictions": logits.tolist()}

    serve_http(port, app)


def main(kind: str, port: int, *folder: str) -> None:
    match kind:
        case "grpc-echo":
            serve_grpc(port, lambda message: message)
        case "grpc-bare":
            grpc_bare(port, *folder)
        case "json":
            json_server(port, *folder)
        case "fastapi-predict" | "fastapi-call":
            fastapi_server(port, predict=kind.endswith("predict"))
        case _:
            raise SystemExit(f"KIND: expected one of the kinds in the module docstring, got {kind}.")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
