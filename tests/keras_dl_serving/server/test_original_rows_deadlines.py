"""Requests whose deadline passes, or whose client disconnects, release their resources."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from keras_dl_export.dtypes import Array
from keras_dl_serving import Client, Server
from keras_dl_serving.errors import CancelledError, DeadlineExceededError
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.batching import BatchingOptions
from keras_dl_serving.server.core import Core
from keras_dl_serving.server.engines.engine import AUTOMATIC, Cancellation
from keras_dl_serving.server.engines.tflite_engine import TFLiteEngine
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.rest_api import RestApi
from keras_dl_serving.server.settings import ServerSettings
from tests._support.fake_engine import FakeEngine, folder
from tests._support.waiting import eventually

_FOREVER = 10**7  # rounds of a loop: minutes
_SIDE = 120


def save_onnx_loop(folder: Path) -> None:
    """`n (batch) -> y = n`, after the largest `n` products of matrices."""
    import onnx
    from onnx import TensorProto, helper

    def value(name: str, kind: int, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    square = [_SIDE, _SIDE]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("MatMul", ["a", "unit"], ["product"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("a", TensorProto.FLOAT, square),
        ],
        [value("go_on", TensorProto.BOOL, []), value("product", TensorProto.FLOAT, square)],
    )
    unit = helper.make_tensor("unit", TensorProto.FLOAT, square, np.eye(_SIDE, dtype=np.float32).ravel())
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    nodes = [
        helper.make_node("ReduceMax", ["n"], ["rounds"], keepdims=0),
        helper.make_node("Loop", ["rounds", "", "unit"], ["last"], body=body),
        helper.make_node("ReduceSum", ["last"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Cast", ["n"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "nothing"], ["y"]),
    ]
    inputs, outputs = [value("n", TensorProto.INT64, ["batch"])], [value("y", TensorProto.FLOAT, ["batch"])]
    graph = helper.make_graph(nodes, "loop", inputs, outputs, [unit, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / "model.onnx"))


def save_tensorflow_loop(folder: Path) -> None:
    """The same in TensorFlow."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int64, name="n")])  # type: ignore[untyped-decorator]
    def loop(n: Any) -> dict[str, Any]:
        unit = tf.eye(_SIDE)
        last = tf.reduce_max(n)
        _, product = tf.while_loop(
            lambda i, _: i < last, lambda i, a: (i + 1, a @ unit), (tf.zeros((), tf.int64), unit)
        )
        return {"y": tf.cast(n, tf.float32) + 0 * tf.reduce_sum(product)}

    module = tf.Module()
    module.loop = loop
    tf.saved_model.save(module, str(folder), signatures=loop)


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loops")
    save_onnx_loop(folder / "onnx" / "1")
    save_tensorflow_loop(folder / "tensorflow" / "1")
    return folder


@contextlib.contextmanager
def _serve(loops: Path, **settings: Any) -> Iterator[Server]:
    with Server(
        loops, rest_port=0, grpc_port=0, poll_seconds=None, settings=ServerSettings(**settings)
    ) as server:
        yield server


def _ask_for_minutes(server: Server, protocol: str, model: str) -> None:
    seconds = 1.0 if protocol == "grpc_url" else 60.0  # over REST it is the server that has a time limit
    with Client(getattr(server, protocol), retries=0) as client, pytest.raises(DeadlineExceededError):
        client.predict(model, np.array([_FOREVER]), timeout=seconds)


@pytest.mark.parametrize("batching", [None, BatchingOptions(max_batch_size=2, threads=1)])
@pytest.mark.parametrize("protocol", ["rest_url", "grpc_url"])
@pytest.mark.parametrize("model", ["onnx", "tensorflow"])
def test_a_run_ends_with_the_deadline_of_its_request(
    loops: Path, model: str, protocol: str, batching: BatchingOptions | None
) -> None:
    settings = {"loading": Loading(batching=batching), "rest_timeout": 1.0}
    with _serve(loops, **settings) as server, Client(server.grpc_url) as client:
        # So that this kind of request is known to be quick.
        assert client.predict(model, np.array([3]))["y"].tolist() == [3]
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda _: _ask_for_minutes(server, protocol, model), range(12)))
        assert client.predict(model, np.array([2]), timeout=20.0)["y"].tolist() == [2]


def test_a_run_ends_when_its_client_disconnects(loops: Path) -> None:
    with _serve(loops, rest_threads=1, grpc_threads=1, rest_timeout=None) as server:
        body = b'{"inputs": [%d]}' % _FOREVER
        head = b"POST /v1/models/onnx:predict HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("localhost", server.rest_port or 0)) as connection:
            connection.sendall(head + body)
            time.sleep(0.5)
        request = messages.PredictRequest()
        request.model_spec.name = "onnx"
        request.inputs["n"].dtype = 9
        request.inputs["n"].tensor_shape.dim.add(size=1)
        request.inputs["n"].int64_val.append(_FOREVER)
        with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
            predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            call = predict.future(request.SerializeToString())
            time.sleep(0.5)
            call.cancel()
        answer = httpx.post(
            f"{server.rest_url}/v1/models/onnx:predict", content=b'{"inputs": [2]}', timeout=30
        )
        assert answer.json() == {"outputs": [2.0]}
        with Client(server.grpc_url) as client:
            assert client.predict("onnx", np.array([2]), timeout=30.0)["y"].tolist() == [2]


def test_tflite_does_not_start_an_abandoned_request(tmp_path: Path) -> None:
    import tensorflow as tf

    double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec((1,), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()])
    file = tmp_path / "model.tflite"
    file.write_bytes(converter.convert())
    engine = TFLiteEngine(file, AUTOMATIC)
    signature = engine.signatures["serving_default"]
    (name,), (output,) = signature.inputs, signature.outputs
    ask = ("serving_default", {name: np.ones(1, np.float32)}, [output])
    assert engine.run(*ask, Cancellation(time.monotonic() + 60))[0].tolist() == [2]
    given_up = Cancellation()
    given_up.cancel()
    with pytest.raises(CancelledError):
        engine.run(*ask, given_up)
    with pytest.raises(DeadlineExceededError):
        engine.run(*ask, Cancellation(time.monotonic()))


def test_a_batch_ends_when_the_last_of_its_requests_is_abandoned() -> None:
    import asyncio

    from keras_dl_serving.server.batching import BatchingEngine

    ended, began = threading.Event(), threading.Event()

    class Endless(FakeEngine):
        def run(
            self,
            signature_name: str,
            inputs: Mapping[str, Array],
            outputs: Sequence[str],
            cancellation: Cancellation | None = None,
        ) -> list[Array]:
            assert cancellation
            cancellation.on_cancel(ended.set)
            began.set()
            assert ended.wait(20)
            raise CancelledError("as asked")

    async def submit(engine: BatchingEngine, cancellation: Cancellation) -> None:
        try:
            await engine.submit("serving_default", {"x": np.ones(1, np.float32)}, ["y"], cancellation)
        except asyncio.CancelledError:
            cancellation.cancel()

    async def ask() -> None:
        engine = BatchingEngine(Endless(), BatchingOptions(max_batch_size=2, threads=1))
        tasks = [asyncio.create_task(submit(engine, Cancellation())) for _ in range(2)]
        while not began.is_set():
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        await tasks[0]
        assert not ended.is_set()
        tasks[1].cancel()
        await tasks[1]
        assert ended.is_set()
        await asyncio.get_running_loop().run_in_executor(None, engine.close)

    asyncio.run(ask())


def test_finished_requests_hold_no_reference_to_their_batch() -> None:
    import asyncio
    import gc
    import weakref

    from keras_dl_serving.server.batching import BatchingEngine

    async def ask() -> weakref.ref[Array]:
        engine = BatchingEngine(FakeEngine(), BatchingOptions(max_batch_size=2, threads=1))
        x = np.ones(1, np.float32)
        await engine.submit("serving_default", {"x": x}, ["y"], Cancellation())
        await asyncio.get_running_loop().run_in_executor(None, engine.close)
        return weakref.ref(x)

    gc.disable()
    try:
        assert asyncio.run(ask())() is None
    finally:
        gc.enable()


def test_abandoned_rest_requests_in_the_queue_are_dropped() -> None:
    ran: list[float] = []
    gate = threading.Event()

    def answer(x: Array) -> Array:
        ran.append(float(x[0]))
        assert gate.wait(20)
        return x

    core = Core(lambda _: FakeEngine(answer))
    core.serve({"m": [folder(1)]})
    api = RestApi(core, ServerSettings(rest_threads=1, rest_timeout=0.3))
    transport = httpx.ASGITransport(api)

    async def ask() -> None:
        import asyncio

        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            posts = [
                client.post("/v1/models/m:predict", content=b'{"instances": [%d]}' % index)
                for index in range(4)
            ]
            answers = await asyncio.gather(*posts)
        assert {each.status_code for each in answers} == {504}

    import asyncio

    asyncio.run(ask())
    gate.set()
    api.close()
    eventually(lambda: len(ran) == 1)
