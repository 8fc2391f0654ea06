"""Servers and clients inside a running event loop: notebooks, web applications, asynchronous tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from keras_dl_serving import AsyncClient, Client, Server, ServerStartError
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.protocol.wire import messages
from tests._support.served_models import save_examples, save_scale
from tests._support.warmup_records import predict_log, write_warmup

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`triple` and `examples`, both with warm-up requests."""
    folder = tmp_path_factory.mktemp("warmed")
    save_scale(folder / "triple" / "1", 3.0)
    write_warmup(folder / "triple" / "1", predict_log(1.0).SerializeToString())
    save_examples(folder / "examples" / "1")
    example = messages.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    several = messages.PredictionLog()
    request = several.multi_inference_log.request
    request.input.example_list.examples.append(example.SerializeToString())
    for method, name in (("classify", "classify"), ("regress", "serving_default")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "examples", name
    write_warmup(folder / "examples" / "1", several.SerializeToString())
    return folder


def test_a_server_starts_and_stops_in_a_running_loop(warmed: Path) -> None:
    async def cell() -> None:
        with Server(warmed, rest_port=0, grpc_port=0) as server:
            for url in (server.rest_url, server.grpc_url):
                with Client(url) as client:
                    assert client.predict("triple", [2.0])["y"].tolist() == [6.0]
                    assert client.regress("examples", [{"x": 2.0}]).tolist() == [3.0]
                async with AsyncClient(url) as asynchronous:
                    assert (await asynchronous.predict("triple", [2.0]))["y"].tolist() == [6.0]

    asyncio.run(cell())


@pytest.mark.parametrize("running_loop", [False, True])
def test_start_names_each_model_that_does_not_load(warmed: Path, tmp_path: Path, running_loop: bool) -> None:
    releases = tmp_path / "releases"
    releases.mkdir()
    (releases / "good").symlink_to(warmed / "triple")
    for name in ("bad", "worse"):
        (releases / name / "7").mkdir(parents=True)
        (releases / name / "7" / "model.onnx").write_bytes(b"no model")

    async def start(**options: Any) -> Server:
        return Server(releases, rest_port=0, grpc_port=None, **options).start()

    def run(**options: Any) -> Server:
        return asyncio.run(start(**options)) if running_loop else run_to_end(start(**options))

    with pytest.raises(ServerStartError, match=r"2 of 3.*'bad', version 7: .*'worse', version 7: ") as caught:
        run()
    assert "require_models=False to serve the others ('good')" in str(caught.value)
    server = run(require_models=False)
    try:
        with Client(server.rest_url) as client:
            assert client.predict("good", [2.0])["y"].tolist() == [6.0]
    finally:
        server.stop()


def test_a_failed_start_can_be_repeated_with_a_complete_model(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"no model")
    server = Server(tmp_path, rest_port=0, grpc_port=None)
    with pytest.raises(ServerStartError, match=r"'m', version 1"):
        server.start()
    save_scale(tmp_path / "m" / "2", 3.0)
    with server, Client(server.rest_url) as client:
        assert client.predict("m", [2.0])["y"].tolist() == [6.0]


def test_the_pytest_fixture_in_an_asynchronous_test(
    warmed: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Use anyio's plugin, whose tests and fixtures run in a loop."""
    releases = pytester.mkdir("releases")
    (releases / "triple").symlink_to(warmed / "triple")  # the one that needs no TensorFlow
    pytester.makepyfile(
        f"""
        import pytest
        from keras_dl_serving import AsyncClient, Client

        pytestmark = pytest.mark.anyio

        @pytest.fixture(scope="session", params=["asyncio", ("asyncio", {{"use_uvloop": True}})])
        def anyio_backend(request):
            return request.param

        @pytest.fixture
        async def server(keras_dl_server):
            return keras_dl_server({str(releases)!r})

        async def test_asked(server, keras_dl_server):
            assert keras_dl_server({str(releases)!r}) is server
            for url in (server.rest_url, server.grpc_url):
                async with AsyncClient(url) as client:
                    assert (await client.predict("triple", [2.0]))["y"].tolist() == [6.0]
                with Client(url) as client:
                    assert client.predict("triple", [2.0])["y"].tolist() == [6.0]
        """
    )
    result = pytester.runpytest_subprocess("-p", "anyio", "--import-mode=importlib")
    result.assert_outcomes(passed=2)


def test_a_coroutine_that_suspends_is_not_run_without_a_loop() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="suspended"):
        run_to_end(suspends())
