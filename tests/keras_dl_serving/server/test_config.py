"""Configuration files in TensorFlow Serving's text format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keras_dl_serving.errors import InvalidArgumentError
from keras_dl_serving.protocol.text_files import read_file
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.batching import BatchingOptions, from_proto
from keras_dl_serving.server.model_configs import (
    ModelConfig,
    VersionPolicy,
    check_platforms,
    model_configs,
)

MODELS = """
# The newest version, all of them, and two with labels.
model_config_list {
  config {
    name: 'plain'
    base_path: '/models/plain'
    model_platform: 'tensorflow'
    logging_config { sampling_config { sampling_rate: 0.1 } log_collector_config { type: 'f' } }
  }
  config: { name: "all" base_path: "/models/all" model_platform: "onnx" model_version_policy: { all: {} } }
  config {
    name: 'labeled', base_path: '/models/labeled', model_platform: 'tflite'
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 42 }
    version_labels { key: 'canary' value: 43 }
  }
  config {
    name: 'two' base_path: '/models/two' model_type: TENSORFLOW
    model_version_policy { latest { num_versions: 2 } }
  }
}
"""


def models(tmp_path: Path, text: str) -> list[ModelConfig]:
    file = tmp_path / "models.config"
    file.write_text(text)
    return model_configs(read_file(file, messages.ModelServerConfig))


def test_models(tmp_path: Path) -> None:
    assert models(tmp_path, MODELS) == [
        ModelConfig("plain", Path("/models/plain")),
        ModelConfig("all", Path("/models/all"), "onnx", VersionPolicy(newest=None)),
        ModelConfig(
            "labeled",
            Path("/models/labeled"),
            "tflite",
            VersionPolicy(specific=(42, 43)),
            {"stable": 42, "canary": 43},
        ),
        ModelConfig("two", Path("/models/two"), "tensorflow", VersionPolicy(newest=2)),
    ]
    assert models(tmp_path, "") == []


def test_the_original_reads_the_same(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    file = tmp_path / "models.config"
    file.write_text(MODELS)
    original = text_format.Parse(MODELS, model_server_config_pb2.ModelServerConfig())
    assert read_file(file, messages.ModelServerConfig).SerializeToString(
        deterministic=True
    ) == original.SerializeToString(deterministic=True)


def config(name: str = "m", platform: str = "model_platform: 'tensorflow'", path: str = "/m") -> str:
    return f"config {{ name: '{name}' base_path: '{path}' {platform} }}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "Error parsing text-format tensorflow.serving.ModelServerConfig: "),
        ("models {}", "Error parsing text-format tensorflow.serving.ModelServerConfig: "),
        (
            f"model_config_list {{ {config()} {config()} }}",
            "Illegal to list model m multiple times in config list",
        ),
        (
            f"model_config_list {{ {config(platform='')} }}",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform.",
        ),
        (
            "model_config_list { config { name: 'm' base_path: '/m' model_platform: 'torch' } }",
            "Model m requests unsupported platform torch",
        ),
        (
            f"model_config_list {{ {config(path='')} }}",
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            f"model_config_list {{ {config(name='')} }}",
            "Expected the model at /m to have a name; got name()=",
        ),
    ],
)
def test_invalid_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        models(tmp_path, text)
    assert message in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"nothing\.config cannot be read: No such file"):
        read_file(tmp_path / "nothing.config", messages.ModelServerConfig)


def test_a_model_keeps_its_platform() -> None:
    old, new = ModelConfig("m", Path("/m")), ModelConfig("m", Path("/n"), "onnx")
    check_platforms([old], [old, ModelConfig("n", Path("/n"), "onnx")])
    with pytest.raises(InvalidArgumentError, match="For model m platform was tensorflow and new platform"):
        check_platforms([old], [new])


def test_batching_parameters(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 100 }\nnum_batch_threads { value: 3 }\n"
        "allowed_batch_sizes: 32\nallowed_batch_sizes: 128\n"
    )
    assert from_proto(read_file(file, messages.BatchingParameters)) == BatchingOptions(
        128, 0, 100, 3, (32, 128)
    )
    defaults = from_proto(messages.BatchingParameters())
    assert (defaults.max_batch_size, defaults.timeout_micros, defaults.max_enqueued_batches) == (1000, 0, 10)
    assert (defaults.threads, defaults.allowed_batch_sizes) == (os.cpu_count(), ())
    for text, message in (
        ("allowed_batch_sizes: 4 allowed_batch_sizes: 2", "must be monotonically increasing"),
        ("allowed_batch_sizes: 4", "final entry in allowed_batch_sizes must equal max_batch_size"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
    ):
        file.write_text(text)
        with pytest.raises(InvalidArgumentError, match=message):
            from_proto(read_file(file, messages.BatchingParameters))
