"""The REST port and the flags, compared with the original."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import httpx
import pytest

from keras_dl_serving import Server
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.model_server.model_server import create_server
from tests._support.served_models import save_scale

# All of main.cc, with a value that it takes.
_FLAGS = {
    "true": (
        *("rest_api_enable_cors_support", "enable_batching", "allow_version_labels_for_unavailable_models"),
        *(
            "enable_per_model_batching_parameters",
            "flush_filesystem_caches",
            "use_alts_credentials",
            "version",
        ),
        *("enable_model_warmup", "remove_unused_fields_from_bundle_metagraph", "prefer_tflite_model"),
        *("enable_signature_method_name_check", "xla_cpu_compilation_enabled", "enable_profiler"),
        *("enable_grpc_healthcheck_service", "enable_serialization_as_tensor_content"),
        "xla_gpu_compilation_enabled",
    ),
    "3": (
        *("port", "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms", "num_load_threads"),
        *("num_unload_threads", "max_num_load_retries", "load_retry_interval_micros", "grpc_max_threads"),
        *("file_system_poll_wait_seconds", "model_config_file_poll_wait_seconds", "num_tflite_pools"),
        *(
            "tensorflow_session_parallelism",
            "tensorflow_intra_op_parallelism",
            "tensorflow_inter_op_parallelism",
        ),
        *("num_request_iterations_for_warmup", "num_tflite_interpreters_per_pool"),
    ),
    "0.5": ("per_process_gpu_memory_fraction",),
    "text": (
        *(
            "grpc_socket_path",
            "batching_parameters_file",
            "model_config_file",
            "model_name",
            "model_base_path",
        ),
        *("tensorflow_session_config_file", "ssl_config_file", "platform_config_file", "saved_model_tags"),
        *("grpc_channel_arguments", "monitoring_config_file", "thread_pool_factory_config_file"),
        "mixed_precision",
    ),
}


def test_all_flags_of_the_original_are_accepted() -> None:
    given = [f"--{name}={value}" for value, names in _FLAGS.items() for name in names]
    assert make_parser().parse_known_args(given)[1] == []


def _answers(address: str, port: int | None) -> bool:
    host = f"[{address}]" if ":" in address else address
    try:
        return httpx.get(f"http://{host}:{port}/keras_dl/live", timeout=20).status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_the_server_listens_on_every_address_of_ipv6_and_ipv4(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2.0)
    flags = make_parser().parse_args([f"--model_base_path={tmp_path / 'm'}", "--model_platform=onnx"])
    assert create_server(flags).host == "::"
    with Server(tmp_path, rest_port=0, grpc_port=0, host="::") as server:
        assert _answers("127.0.0.1", server.rest_port)
        assert _answers("::1", server.rest_port)
        for address in ("127.0.0.1", "[::1]"):
            with grpc.insecure_channel(f"{address}:{server.grpc_port}") as channel:
                grpc.channel_ready_future(channel).result(20)


def test_a_flag_listens_on_the_loopback_only(tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2.0)
    flags = make_parser().parse_args([f"--model_base_path={tmp_path / 'm'}", "--host=127.0.0.1"])
    assert create_server(flags).host == "127.0.0.1"
    with Server(tmp_path, rest_port=0, grpc_port=None, host="127.0.0.1") as server:
        assert _answers("127.0.0.1", server.rest_port)
        assert not _answers("127.0.0.2", server.rest_port)


def test_ipv4_alone_is_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_scale(tmp_path / "m" / "1", 2.0)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with Server(tmp_path, rest_port=0, grpc_port=None, host="::") as server:
        assert _answers("127.0.0.1", server.rest_port)


def test_every_request_is_counted_by_its_verb(tmp_path: Path) -> None:
    save_scale(tmp_path / "counted" / "1", 2.0)
    with Server(tmp_path, rest_port=0, grpc_port=None) as server:
        model = f"{server.rest_url}/v1/models/counted"
        httpx.post(f"{model}:predict", content=b'{"instances": [1.0]}')
        httpx.post(f"{model}:classify", content=b"{}")
        for path in ("", "/metadata", "/versions/1"):
            assert httpx.get(model + path).status_code == 200
        assert httpx.get(f"{model}/versions/2").status_code == 404
        text = httpx.get(f"{server.rest_url}/monitoring/prometheus/metrics").text
    lines = set(text.splitlines())
    count = ':tensorflow:serving:request_count{model_name="counted",status="%s"} %d'
    assert {count % each for each in (("OK", 4), ("INVALID_ARGUMENT", 1), ("NOT_FOUND", 1))} <= lines
    latency = ':tensorflow:serving:request_latency_count{model_name="counted",API="%s",entrypoint="REST"} %d'
    assert {latency % each for each in (("predict", 1), ("", 3))} <= lines
    runtime = ':tensorflow:serving:runtime_latency_count{model_name="counted",API="Predict",runtime="TF1"} 1'
    assert runtime in lines


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"instances": [1.]}', "JSON Parse error: Miss fraction part in number. at offset: 17"),
        (b'{"instances": [1e]}', "JSON Parse error: Miss exponent in number. at offset: 17"),
        (b'{"a": 1 "b"}', "JSON Parse error: Missing a comma or '}' after an object member. at offset: 8"),
        (b"[1 2]", "JSON Parse error: Missing a comma or ']' after an array element. at offset: 3"),
        (b'[16777217.5, "a"]', 'JSON Value: [16777217.5,"a"] Is not object'),
    ],
)
def test_json_errors_match_the_pinned_rapidjson(triple: Server, body: bytes, error: str) -> None:
    answer = httpx.post(f"{triple.rest_url}/v1/models/triple:predict", content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})
