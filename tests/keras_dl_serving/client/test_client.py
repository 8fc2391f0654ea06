"""Both clients over both transports, against a real server."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl_export import dtypes
from keras_dl_serving import (
    AsyncClient,
    Client,
    InvalidArgumentError,
    InvalidRequestError,
    NotReadyError,
    Server,
    StatusError,
    TensorSpec,
)
from tests._support.served_models import ECHO_DTYPES, WEIGHTS, save_linear

X = np.float32([[1, 2, 3], [0.5, -1, 4]])


# ---- answers


def test_predict(client: Client) -> None:
    outputs = client.predict("linear", {"x": X})
    assert outputs.keys() == {"total", "y"}
    assert {name: array.dtype.name for name, array in outputs.items()} == {"total": "float32", "y": "float32"}
    np.testing.assert_allclose(outputs["y"], X @ WEIGHTS, rtol=1e-6)
    np.testing.assert_allclose(outputs["total"], X.sum(axis=1), rtol=1e-6)


def test_predict_by_version_signature_and_outputs(client: Client) -> None:
    assert client.predict("linear", X, version=3, outputs=["total"]).keys() == {"total"}
    mean = client.predict("linear", X.astype(np.float64), signature_name="mean")
    assert mean["mean"].shape == ()
    assert mean["mean"] == pytest.approx(X.mean(), rel=1e-6)


def test_a_single_output_is_returned_by_name(client: Client) -> None:
    assert client.predict("half_plus_two", [1, 2])["y"].tolist() == [2.5, 3.0]


def test_an_input_with_a_default_may_be_missing(client: Client, protocol: str) -> None:
    if protocol == "grpc_url":
        assert client.predict("with_default", {"x": [1, 2]})["y"].tolist() == [2.0, 4.0]
    else:  # as in the original, REST wants every input
        with pytest.raises(InvalidArgumentError, match="Missing named input: scale in 'inputs' object"):
            client.predict("with_default", {"x": [1, 2]})
    assert client.predict("with_default", {"x": [1, 2], "scale": 5})["y"].tolist() == [5.0, 10.0]


def test_several_inputs_and_strings(client: Client) -> None:
    outputs = client.predict("two_inputs", {"label": [5, 60], "image": np.ones((2, 2, 2))})
    assert outputs["sum"].tolist() == [9.0, 64.0]
    assert outputs["label_bytes"].tolist() == [b"5", b"60"]


@pytest.mark.parametrize("dtype", ECHO_DTYPES)
def test_every_dtype_makes_the_round_trip(client: Client, protocol: str, dtype: str) -> None:
    if dtype == "string":
        array = np.array([[b"a", b"\xff\x00"], [b"", "caf\u00e9".encode()]], object)
    else:
        array = np.array([[0, 1], [1, 0]]).astype(dtypes.by_name(dtype).numpy)
    if protocol == "rest_url" and dtype in ("float16", "bfloat16", "uint16", "complex64", "complex128"):
        kind = InvalidRequestError if dtype.startswith("complex") else StatusError
        with pytest.raises(
            kind, match=r"JSON has no form for: use gRPC|Conversion of JSON Value|tensor type"
        ):
            client.predict("echo", array, signature_name=dtype)
        return
    if protocol == "rest_url" and dtype == "string":
        array[0, 1] = b"no utf-8: \xff"  # JSON has no way to say that this output is text
    found = client.predict("echo", array, signature_name=dtype)["y"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_arrive_bit_for_bit(client: Client, dtype: str) -> None:
    generator = np.random.default_rng(7)
    numbers = generator.normal(size=200) * 10.0 ** generator.integers(-30, 30, 200)
    array = np.concatenate([numbers, [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42]]).astype(dtype)
    found = client.predict("echo", array, signature_name=dtype)["y"]
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (1, 1, 1), (2, 0)])
def test_odd_shapes(client: Client, shape: tuple[int, ...]) -> None:
    found = client.predict("echo", np.ones(shape, np.float32), signature_name="float32")["y"]
    assert found.shape == shape


def test_an_empty_batch(client: Client, protocol: str) -> None:
    if protocol == "rest_url":
        with pytest.raises(InvalidRequestError, match=r"shape \(0, 3\), which is \[\] in JSON: use gRPC"):
            client.predict("linear", np.ones((0, 3)))
    else:
        assert client.predict("linear", np.ones((0, 3)))["y"].shape == (0, 2)


def test_images_above_four_megabytes(client: Client, protocol: str) -> None:
    side = 300 if protocol == "rest_url" else 1200
    array = np.random.default_rng(0).normal(size=(1, side, side, 3)).astype(np.float32)
    found = client.predict("echo", array, signature_name="float32")["y"]
    np.testing.assert_array_equal(found, array)


def test_status(client: Client) -> None:
    (version,) = client.status("linear")
    assert (version.version, version.state, version.available, version.error) == (3, "AVAILABLE", True, "")
    assert client.status("linear", version=3) == [version]


def test_metadata(client: Client) -> None:
    metadata = client.metadata("linear")
    assert (metadata.name, metadata.version) == ("linear", 3)
    assert set(metadata.signatures) == {"serving_default", "mean"}
    signature = metadata.signatures["serving_default"]
    assert signature.inputs == {"x": TensorSpec((None, 3), "float32", "serving_default_x:0")}
    assert {name: spec.shape for name, spec in signature.outputs.items()} == {
        "total": (None,),
        "y": (None, 2),
    }
    assert (
        client.metadata("half_plus_two", version=123).signatures["serving_default"].inputs["x"].shape is None
    )


def test_both_protocols_return_the_same_metadata(server: Server) -> None:
    with Client(server.rest_url) as rest, Client(server.grpc_url) as grpc:
        for model in ("linear", "half_plus_two", "two_inputs", "echo"):
            assert rest.metadata(model) == grpc.metadata(model)


# ---- waiting, and models that change


def test_wait_ready(client: Client) -> None:
    client.wait_ready()
    client.wait_ready("linear")
    client.wait_ready("linear", version=3)
    with pytest.raises(
        NotReadyError, match="Not ready within 0.2 seconds: Could not find any versions of model m"
    ):
        client.wait_ready("m", timeout=0.2)


def test_wait_ready_until_a_model_appears(client_class: Any, protocol: str, tmp_path: Path) -> None:
    save_linear(tmp_path / "first" / "1")
    with (
        Server(tmp_path, rest_port=0, grpc_port=0, poll_seconds=0.05) as server,
        client_class(getattr(server, protocol)) as client,
    ):
        timer = threading.Timer(0.2, (tmp_path / "first").rename, [tmp_path / "second"])
        timer.start()
        client.wait_ready("second", timeout=20)
        assert client.status("second")[0].available
        timer.join()


def test_a_model_that_changes_its_signature(
    client_class: Any, protocol: str, releases: Path, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "1").symlink_to(releases / "linear" / "3")
    with (
        Server(tmp_path, rest_port=0, grpc_port=0, poll_seconds=0.05) as server,
        client_class(getattr(server, protocol)) as client,
    ):
        assert client.predict("m", {"x": X}).keys() == {"total", "y"}
        (tmp_path / "m" / "2").symlink_to(releases / "two_inputs" / "1")
        client.wait_ready("m", version=2, timeout=20)
        outputs = client.predict("m", {"image": np.ones((1, 2, 2)), "label": [1]})
        assert outputs["sum"].tolist() == [5.0]
        # Now with inputs that fit both, where only the outputs tell: half_plus_two has another single output.
        (tmp_path / "m" / "3").symlink_to(releases / "half_plus_two" / "123")
        client.wait_ready("m", version=3, timeout=20)
        assert client.predict("m", {"x": X})["y"].shape == X.shape


def test_one_client_for_many_threads(server: Server, protocol: str) -> None:
    with Client(getattr(server, protocol)) as client:
        results: list[Any] = []
        threads = [
            threading.Thread(
                target=lambda k=k: results.append((k, client.predict("half_plus_two", [float(k)])["y"][0]))
            )
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == [(k, k / 2 + 2) for k in range(8)]


def test_concurrent_calls_in_one_loop(server: Server, protocol: str) -> None:
    async def ask() -> list[float]:
        async with AsyncClient(getattr(server, protocol)) as client:
            calls = [client.predict("half_plus_two", [float(k)]) for k in range(8)]
            return [float(outputs["y"][0]) for outputs in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [k / 2 + 2 for k in range(8)]


def test_a_blocking_client_works_inside_a_loop(server: Server, protocol: str) -> None:
    async def ask() -> float:
        with Client(getattr(server, protocol)) as client:
            return float(client.predict("half_plus_two", [1.0])["y"][0])

    assert asyncio.run(ask()) == 2.5


def test_both_clients_have_the_same_methods() -> None:
    for name in (name for name in vars(Client) if not name.startswith("_")):
        blocking, awaited = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))
        for each, other in zip(blocking.parameters.values(), awaited.parameters.values(), strict=True):
            # An asynchronous client takes asynchronous sources, too.
            annotation = str(other.annotation).replace("AsyncIterable[Inputs] | ", "")
            assert str(each.annotation) == annotation, name
            assert each.replace(annotation=None) == other.replace(annotation=None), name
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_empty_answers_have_the_shape_of_the_metadata() -> None:
    from keras_dl_serving.client.outputs import read

    assert read("y", [], TensorSpec((None, 2), "float32")).shape == (0, 2)
    assert read("y", [[], []], TensorSpec((None, None, 4), "string")).shape == (2, 0, 4)
    assert read("y", [], TensorSpec(None, "int32")).shape == (0,)


def test_a_rest_client_sends_plain_json(server: Server) -> None:
    from keras_dl_serving.client.rest_transport import _predict_body

    arrays = {"x": np.float32([[1.5]]), "s": np.array([b"\xff"], object), "n": np.array(3)}
    assert json.loads(_predict_body("f", arrays)) == {
        "signature_name": "f",
        "inputs": {"x": [[1.5]], "s": [{"b64": "/w=="}], "n": 3},
    }
