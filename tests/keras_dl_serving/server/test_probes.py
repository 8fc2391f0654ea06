"""Services for operators on the gRPC port: health and TensorFlow's profiler."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from keras_dl_serving import Client, Server
from keras_dl_serving.errors import InvalidArgumentError, UnimplementedError
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.profiler import Profiler
from keras_dl_serving.server.settings import ServerSettings
from tests._support.served_models import save_scale

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.fixture
def healthy(tmp_path: Path) -> Iterator[Server]:
    save_scale(tmp_path / "m" / "1", 2)
    with Server(tmp_path, rest_port=None, grpc_port=0, settings=ServerSettings(health=True)) as server:
        yield server


def health(channel: grpc.Channel, method: str, service: str) -> Any:
    kind = channel.unary_stream if method == "Watch" else channel.unary_unary
    call = kind(
        f"/grpc.health.v1.Health/{method}",
        request_serializer=messages.HealthCheckRequest.SerializeToString,
        response_deserializer=messages.HealthCheckResponse.FromString,
    )
    return call(messages.HealthCheckRequest(service=service), timeout=30)


@pytest.mark.parametrize(
    "service", ["", "PredictionService", "ModelService", "tensorflow.serving.PredictionService"]
)
def test_check(healthy: Server, service: str) -> None:
    with grpc.insecure_channel(f"localhost:{healthy.grpc_port}") as channel:
        assert health(channel, "Check", service).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health(channel, "Check", "Nothing")
    assert (caught.value.code().name, caught.value.details()) == ("NOT_FOUND", "service name unknown")


def test_watch_reports_the_end_and_occupies_no_threads(healthy: Server) -> None:
    with grpc.insecure_channel(f"localhost:{healthy.grpc_port}") as channel:
        watches = [health(channel, "Watch", "") for _ in range(50)]
        assert [next(watch).status for watch in watches] == [SERVING] * 50
        left = health(channel, "Watch", "PredictionService")
        assert next(left).status == SERVING
        left.cancel()
        unknown = health(channel, "Watch", "Nothing")
        assert next(unknown).status == SERVICE_UNKNOWN
        with Client(healthy.grpc_url) as client:
            assert client.predict("m", np.ones(1, np.float32))["y"].tolist() == [2.0]
        stopping = threading.Thread(target=healthy.stop)
        stopping.start()
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 50
        assert not list(unknown)
        stopping.join(5)
        assert not stopping.is_alive()


def test_health_is_off_by_default(server: Server) -> None:
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        for method in ("Check", "Watch"):
            with pytest.raises(grpc.RpcError) as caught:
                list(health(channel, method, "")) if method == "Watch" else health(channel, method, "")
            assert caught.value.code().name == "UNIMPLEMENTED"


def test_tensorflows_own_client_records_a_trace_of_requests(server: Server, tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    done = threading.Event()

    def ask() -> None:
        with Client(server.grpc_url) as client:
            while not done.is_set():
                client.predict("linear", np.ones((1, 3), np.float32))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        address = f"grpc://localhost:{server.grpc_port}"
        tf.profiler.experimental.client.trace(address, str(tmp_path), 300)
    finally:
        done.set()
        asking.join()
    (file,) = (tmp_path / "plugins" / "profile").rglob("*.xplane.pb")
    planes = xplane_pb2.XSpace.FromString(file.read_bytes()).planes
    names = {event.name for plane in planes for event in plane.event_metadata.values()}
    assert any("MatMul" in name for name in names)


def test_invalid_profiler_requests_are_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.ProfilerService/Monitor")(b"", timeout=20)
        assert (caught.value.code().name, caught.value.details()) == ("UNIMPLEMENTED", "unimplemented.")
    request = messages.ProfileRequest(repository_root=str(tmp_path), session_id="..", host_name="h")
    with pytest.raises(InvalidArgumentError, match="session_id and host_name must be names, not paths: .."):
        Profiler().profile(request)
    for missing in ("repository_root", "session_id"):
        request = messages.ProfileRequest(repository_root=str(tmp_path), session_id="s", host_name="h")
        request.ClearField(missing)
        with pytest.raises(
            InvalidArgumentError, match="repository_root and session_id must say where to write"
        ):
            Profiler().profile(request)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(UnimplementedError, match="this server has not loaded: it serves no SavedModel"):
        Profiler().profile(messages.ProfileRequest())


def test_a_trace_can_be_ended_early(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.constant(1)
    profiler = Profiler()
    request = messages.ProfileRequest(session_id="s", emit_xspace=True)
    request.opts.duration_ms = 60_000
    answers: list[messages.ProfileResponse] = []
    tracing = threading.Thread(target=lambda: answers.append(profiler.profile(request)))
    tracing.start()
    while tracing.is_alive():
        profiler.terminate(messages.TerminateRequest(session_id="s"))
        tracing.join(0.1)
    assert answers[0].xspace
