"""The flags of TensorFlow Serving's command line, and a group of flags that go beyond it."""

from __future__ import annotations

import argparse
import os
from typing import Any

from keras_dl_serving.server.model_configs import PLATFORMS

_CORES = os.cpu_count() or 1
# Flags of the original about its own threads, sessions and accelerators: accepted with a log line, without
# effect.
WITHOUT_EFFECT = (
    *("num_load_threads", "num_unload_threads", "flush_filesystem_caches", "saved_model_tags"),
    *("tensorflow_session_config_file", "per_process_gpu_memory_fraction", "platform_config_file"),
    *("remove_unused_fields_from_bundle_metagraph", "num_tflite_pools", "num_tflite_interpreters_per_pool"),
    *("xla_cpu_compilation_enabled", "xla_gpu_compilation_enabled", "thread_pool_factory_config_file"),
    *("mixed_precision", "skip_initialize_tpu", "enforce_session_run_timeout", "should_retry_model_load"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return a parser of the flags, which takes `--flag=value`, or `--flag` alone for what is on or off."""
    parser = argparse.ArgumentParser(
        prog="keras-dl-model-server", description="TensorFlow Serving's API and flags.", allow_abbrev=False
    )
    add = parser.add_argument

    def switch(name: str, explanation: str, *, default: bool = False, to: Any = add) -> None:
        to(f"--{name}", type=_on_or_off, nargs="?", const=True, default=default, help=explanation)

    add("--port", type=int, default=8500, help="port for gRPC")
    add(
        "--grpc_socket_path",
        default="",
        help="UNIX socket for gRPC, in addition; with --port=0 instead of the port",
    )
    add("--grpc_max_threads", type=int, default=0, help=f"concurrent requests; by default {4 * _CORES}")
    add("--grpc_channel_arguments", default="", help="key=value,key=value")
    add("--rest_api_port", type=int, default=0, help="port for REST; 0 is off")
    add("--rest_api_num_threads", type=int, default=0, help=f"concurrent requests; by default {4 * _CORES}")
    add("--rest_api_timeout_in_ms", type=int, default=30000, help="timeout of a REST request; 0 is no limit")
    switch("rest_api_enable_cors_support", "allow requests from pages of other origins")
    add("--model_name", default="default", help="name of the model at --model_base_path")
    add("--model_base_path", default="", help="folder of the versions of one model")
    add("--model_config_file", default="", help="ModelServerConfig: models, version policies, labels")
    add(
        "--model_config_file_poll_wait_seconds",
        type=float,
        default=0,
        help="seconds between reads of that file; 0 reads it once",
    )
    add(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1,
        help="seconds between polls for versions; 0 loads once",
    )
    add("--max_num_load_retries", type=int, default=5, help="retries of a version that fails to load")
    add("--load_retry_interval_micros", type=int, default=60_000_000, help="microseconds between retries")
    switch(
        "allow_version_labels_for_unavailable_models",
        "allow new labels for versions that are not available yet",
    )
    switch("enable_batching", "combine concurrent requests into batches")
    add("--batching_parameters_file", default="", help="BatchingParameters")
    switch(
        "enable_per_model_batching_parameters",
        "with --enable_batching: only versions with a batching_params.pbtxt of their own",
    )
    switch(
        "enable_signature_method_name_check",
        "restrict classify and regress to signatures of that method name, which TensorFlow 2 never writes",
    )
    add(
        "--tensorflow_session_parallelism",
        type=int,
        default=0,
        help="sets the two following flags; 0 is automatic",
    )
    add("--tensorflow_intra_op_parallelism", type=int, default=0, help="threads within an operation")
    add("--tensorflow_inter_op_parallelism", type=int, default=0, help="concurrent operations")
    switch("enable_model_warmup", "run assets.extra/tf_serving_warmup_requests before serving", default=True)
    add("--num_request_iterations_for_warmup", type=int, default=1, help="how often each of them is run")
    switch("prefer_tflite_model", "load model.tflite if it exists")
    add("--monitoring_config_file", default="", help="MonitoringConfig: metrics for Prometheus")
    switch("use_alts_credentials", "Google's ALTS for gRPC, which works on Google Cloud alone")
    add("--ssl_config_file", default="", help="SSLConfig: TLS for gRPC")
    switch("enable_grpc_healthcheck_service", "offer grpc.health.v1.Health")
    switch("enable_profiler", "offer TensorFlow's profiler service over gRPC")
    switch("enable_serialization_as_tensor_content", "gRPC outputs as blocks of bytes")
    switch("version", "print the version and exit")
    for name in WITHOUT_EFFECT:
        add(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)
    ours = parser.add_argument_group("beyond TensorFlow Serving")
    ours.add_argument(
        "--model_platform",
        choices=("", *PLATFORMS),
        default="",
        help="platform of the model at --model_base_path",
    )
    ours.add_argument(
        "--host",
        default="::",
        help="address to listen on; 127.0.0.1 for this machine alone; :: for all addresses",
    )
    ours.add_argument("--rest_ssl_config_file", default="", help="SSLConfig: TLS for REST")
    switch("access_log", "log every request as JSON", to=ours.add_argument)
    switch("verify_releases", "refuse releases whose files differ from release.json", to=ours.add_argument)
    return parser


def _on_or_off(text: str) -> bool:
    if text.lower() in ("true", "1", "false", "0"):
        return text.lower() in ("true", "1")
    raise argparse.ArgumentTypeError(f"expected true or false, got {text}")
