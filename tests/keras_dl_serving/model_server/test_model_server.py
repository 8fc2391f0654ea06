"""`keras-dl-model-server`: the original's flags and files, in a process of its own."""

from __future__ import annotations

import json
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from keras_dl_serving import Client
from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.model_server import model_server
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.engines.engine import Threads
from keras_dl_serving.server.server import Server
from tests._support.certificates import certificate
from tests._support.model_server import free_port, running
from tests._support.served_models import save_scale


def test_a_server_with_everything_on(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    save_scale(tmp_path / "m" / "2", 4)
    (tmp_path / "models.config").write_text(
        f"model_config_list {{ config {{ name: 'm' base_path: '{tmp_path / 'm'}' model_platform: 'onnx' "
        "model_version_policy { all {} } version_labels { key: 'stable' value: 1 } } }"
    )
    (tmp_path / "batching.config").write_text("max_batch_size { value: 8 }")
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true path: '/metrics' }")
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert, custom_ca=cert, client_verify=True)
    (tmp_path / "ssl.config").write_text(str(tls))
    grpc_port, rest_port = free_port(), free_port()
    log = tmp_path / "log"
    with running(
        log,
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={tmp_path / 'models.config'}",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
        f"--ssl_config_file={tmp_path / 'ssl.config'}",
        f"--grpc_socket_path={tmp_path / 'socket'}",
        "--enable_grpc_healthcheck_service=true",
        "--rest_api_enable_cors_support",
        "--access_log",
        "--tensorflow_session_parallelism=2",
        "--num_load_threads=2",
    ) as process:
        url = f"http://localhost:{rest_port}"
        answer = httpx.post(f"{url}/v1/models/m/labels/stable:predict", content='{"instances": [1.0, 2.0]}')
        assert answer.json() == {"predictions": [2.0, 4.0]}
        assert answer.headers["access-control-allow-origin"] == "*"
        httpx.post(f"{url}/v1/models/m:predict", content="{}")
        metrics = httpx.get(f"{url}/metrics").text.splitlines()
        assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1' in metrics
        assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1' in metrics
        labels = 'model_name="m",API="predict",entrypoint="REST"'
        assert f":tensorflow:serving:request_latency_count{{{labels}}} 1" in metrics
        assert f':tensorflow:serving:request_latency_bucket{{{labels},le="+Inf"}} 1' in metrics
        assert f':tensorflow:serving:request_latency_bucket{{{labels},le="{10 * 1.8**32:.6g}"}} 1' in metrics
        runtime = 'model_name="m",API="Predict",runtime="TF1"'
        assert f":tensorflow:serving:runtime_latency_count{{{runtime}}} 1" in metrics

        credentials = grpc.ssl_channel_credentials(cert.encode(), key.encode(), cert.encode())
        with grpc.secure_channel(f"localhost:{grpc_port}", credentials) as channel:
            assert health(channel) == 1
        anonymous = grpc.ssl_channel_credentials(cert.encode())
        with (
            grpc.secure_channel(f"localhost:{grpc_port}", anonymous) as channel,
            pytest.raises(grpc.RpcError),
        ):
            health(channel)
        socket = f"unix:{tmp_path / 'socket'}"
        named = [("grpc.default_authority", "localhost")]  # a path is no name to be certified
        with grpc.secure_channel(socket, credentials, named) as channel:
            assert health(channel) == 1
        for way_around in (grpc.insecure_channel(socket), grpc.secure_channel(socket, anonymous, named)):
            with way_around as channel, pytest.raises(grpc.RpcError):
                health(channel)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    text = log.read_text()
    assert "--num_load_threads has no effect" in text
    lines = [line.partition(" INFO ")[2] for line in text.splitlines() if '"protocol"' in line]
    first = json.loads(lines[0])
    assert (first["protocol"], first["path"], first["status"]) == (
        "rest",
        "/v1/models/m/labels/stable:predict",
        200,
    )


def health(channel: grpc.Channel) -> int:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=messages.HealthCheckRequest.SerializeToString,
        response_deserializer=messages.HealthCheckResponse.FromString,
    )
    response: messages.HealthCheckResponse = check(messages.HealthCheckRequest(), timeout=20)
    return response.status


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--nonsense=1"], "unknown argument: --nonsense=1"),
        (
            ["--port=8500"],
            "Failed to start server. Error: INVALID_ARGUMENT: Both server_options.model_base_path and "
            "server_options.model_config_file are empty!",
        ),
        (
            ["--model_base_path=/m", "--batching_parameters_file=/b"],
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true.",
        ),
        (["--model_config_file={0}"], "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        (
            ["--model_base_path=/m", "--port=7", "--rest_api_port=7"],
            "INVALID_ARGUMENT: rest_port, grpc_port: expected two ports, got 7",
        ),
        (["--model_base_path=/m", "--model_name="], "INVALID_ARGUMENT: Expected the model at /m to have a"),
    ],
)
def test_a_failed_start_reports_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    file = tmp_path / "models.config"
    file.write_text("nonsense {")
    assert model_server.main([flag.format(file) for flag in flags]) == 1
    assert complaint in capsys.readouterr().err


def flags(*given: str) -> Any:
    return make_parser().parse_args(["--model_base_path=/m", *given])


def test_flags_have_the_originals_defaults() -> None:
    server = model_server.create_server(flags())
    settings = server._settings
    assert (server.grpc_port, server.rest_port, server.host) == (8500, None, "::")
    assert server._models[0].name == "default"
    assert (settings.retries.count, settings.retries.seconds) == (5, 60.0)
    assert (settings.rest_timeout, settings.metrics_path, settings.loading.batching) == (30.0, None, None)
    for none in ("0", "-1"):
        unlimited = model_server.create_server(flags(f"--rest_api_timeout_in_ms={none}"))
        assert unlimited._settings.rest_timeout is None
    assert settings.loading.warm_up
    assert not model_server.create_server(flags("--enable_model_warmup=false"))._settings.loading.warm_up
    arguments = model_server.create_server(flags("--grpc_channel_arguments=a=1,b=x"))._settings.grpc_options
    assert arguments == (("a", 1), ("b", "x"))
    assert not settings.loading.verify_releases
    assert model_server.create_server(flags("--verify_releases"))._settings.loading.verify_releases
    assert server._poll_seconds == 1
    assert model_server.create_server(flags("--file_system_poll_wait_seconds=0"))._poll_seconds is None
    assert not settings.profiler
    with pytest.raises(InvalidArgumentError, match="are empty!"):
        model_server.create_server(make_parser().parse_args([]))


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ((), Threads(0, 0)),
        (("--tensorflow_session_parallelism=2",), Threads(2, 2)),
        (("--tensorflow_intra_op_parallelism=3",), Threads(3, 0)),
        (("--tensorflow_intra_op_parallelism=3", "--tensorflow_inter_op_parallelism=1"), Threads(3, 1)),
        (("--tensorflow_session_parallelism=2", "--tensorflow_inter_op_parallelism=1"), Threads(0, 1)),
    ],
)
def test_threads_of_a_run(given: tuple[str, ...], threads: Threads) -> None:
    assert model_server.create_server(flags(*given))._settings.loading.threads == threads


def test_threads_cannot_be_given_twice() -> None:
    with pytest.raises(InvalidArgumentError, match="separately. You cannot configure all"):
        model_server.create_server(
            flags(*(f"--tensorflow_{kind}_parallelism=2" for kind in ("session", "intra_op", "inter_op")))
        )
    with pytest.raises(InvalidArgumentError, match="must not be negative"):
        model_server.create_server(flags("--tensorflow_session_parallelism=-1"))


def test_stopping_waits_for_requests_in_flight(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2)
    results: list[float] = []
    with Server(tmp_path, rest_port=0, grpc_port=0) as server:
        core = server._core
        engine = core.states(model_server_spec())[0].engine
        began, go_on = threading.Event(), threading.Event()
        original = engine.run

        def slow(*arguments: Any) -> Any:
            began.set()
            go_on.wait(10)
            return original(*arguments)

        engine.run = slow  # type: ignore[method-assign]

        def ask() -> None:
            with Client(server.rest_url) as client:
                results.append(float(client.predict("m", np.ones(1, np.float32))["y"][0]))

        asking = threading.Thread(target=ask)
        asking.start()
        assert began.wait(10)
        threading.Timer(0.3, go_on.set).start()
    asking.join()
    assert results == [2.0]


def model_server_spec() -> Any:
    from keras_dl_serving.server.core import ModelSpec

    return ModelSpec("m")


def test_rest_over_tls_and_bounded_bodies(tmp_path: Path) -> None:
    from keras_dl_serving.server.settings import ServerSettings

    save_scale(tmp_path / "m" / "1", 2)
    key, cert = certificate()
    tls = messages.SSLConfig(server_key=key, server_cert=cert)
    settings = ServerSettings(rest_tls=tls, max_body_bytes=1000, rest_timeout=1.0)
    context = ssl.create_default_context(cadata=cert)
    with Server(tmp_path, rest_port=0, grpc_port=None, settings=settings) as server:
        assert server.rest_url.startswith("https://localhost:")
        url = f"{server.rest_url}/v1/models/m:predict"
        assert httpx.post(url, content='{"instances": [1.0]}', verify=context).json() == {
            "predictions": [2.0]
        }
        answer = httpx.post(url, content=b" " * 1001, verify=context)
        assert (answer.status_code, answer.json()) == (413, {"error": "The body is larger than 1000 bytes"})

        def slowly() -> Iterator[bytes]:
            yield b'{"instances": '
            time.sleep(2)
            yield b"[1.0]}"

        answer = httpx.post(url, content=slowly(), verify=context)
        assert (answer.status_code, answer.json()) == (
            504,
            {"error": "The request took longer than 1 seconds"},
        )
