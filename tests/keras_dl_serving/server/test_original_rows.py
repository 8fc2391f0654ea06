"""Models in the forms that TensorFlow Serving accepts: TensorFlow 2, TFLite, and invalid ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from keras_dl_serving import Client, Server
from keras_dl_serving.coroutines import run_to_end
from keras_dl_serving.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from keras_dl_serving.model_server.flags import make_parser
from keras_dl_serving.model_server.model_server import create_server
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.server.batching import BatchingEngine, BatchingOptions
from keras_dl_serving.server.engines.open_engine import open_engine
from keras_dl_serving.server.example_inference import classify, examples_of, multi_inference, regress
from keras_dl_serving.server.loading import Loading
from keras_dl_serving.server.releases import VersionFolder
from keras_dl_serving.server.servable_runner import Immediate
from keras_dl_serving.server.settings import ServerSettings
from tests._support.served_models import save_scale

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def save_tensorflow_2(folder: Path) -> None:
    """Signatures over examples with a feature `x`, each with its own input, as TensorFlow 2 writes them.

    `classify` gives `yes: x`, `regress` gives `2 x`; `unnamed` takes `words`, `unlabeled` gives `y`;
    `ragged` gives rows of unequal length.
    """
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]
        pass

    module, functions = Module(), {}
    strings = tf.TensorSpec((None,), tf.string, name="inputs")

    def parse(serialized: Any) -> Any:
        return tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]

    def classify(inputs: Any) -> dict[str, Any]:
        x = parse(inputs)
        return {"scores": x, "classes": tf.fill(tf.shape(x), "yes")}

    functions["classify"] = tf.function(classify, input_signature=[strings])
    functions["regress"] = tf.function(
        lambda inputs: {"outputs": 2 * parse(inputs)}, input_signature=[strings]
    )
    functions["unlabeled"] = tf.function(lambda inputs: {"y": parse(inputs)}, input_signature=[strings])
    words = tf.TensorSpec((None,), tf.string, name="words")
    functions["unnamed"] = tf.function(lambda words: {"outputs": parse(words)}, input_signature=[words])
    counts = tf.TensorSpec((None,), tf.int32, name="counts")
    functions["ragged"] = tf.function(lambda counts: {"y": tf.ragged.range(counts)}, input_signature=[counts])
    module.functions = functions
    tf.saved_model.save(module, str(folder), signatures=functions)


def save_half_plus_two_tflite(file: Path, definitions: dict[str, bytes] | None = None) -> None:
    """`x (1, 1) -> x / 2 + 2` without signatures of its own, with SignatureDefs in the metadata if given."""
    import flatbuffers
    import tensorflow as tf
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT, Model, ModelT
    from flatbuffers import flexbuffers

    half = tf.function(lambda x: x / 2 + 2, input_signature=[tf.TensorSpec((1, 1), tf.float32, name="x")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([half.get_concrete_function()])
    model = ModelT.InitFromObj(Model.GetRootAs(converter.convert()))
    model.signatureDefs = []
    if definitions is not None:
        builder = flexbuffers.Builder()
        with builder.Map():
            for name, definition in definitions.items():
                builder.Key(name)
                builder.String(definition.decode())
        entry, buffer = MetadataT(), BufferT()
        entry.name, entry.buffer = b"signature_defs_metadata", len(model.buffers)
        buffer.data = list(bytes(builder.Finish()))
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(buffer)
    written = flatbuffers.Builder()
    written.Finish(model.Pack(written), b"TFL3")
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(written.Output()))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    save_tensorflow_2(folder / "tf2" / "1")
    save_half_plus_two_tflite(folder / "lite" / "1" / "model.tflite")
    return folder


@pytest.fixture(scope="module")
def rows(models: Path) -> Iterator[Server]:
    with Server(models, rest_port=0, grpc_port=0, poll_seconds=None) as server:
        yield server


def _post(server: Server, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{server.rest_url}/v1/models/{path}", json=body, timeout=60)


@pytest.fixture
def example_list() -> messages.Input:
    example = messages.Example()
    example.features.feature["x"].float_list.value.append(3.0)
    request = messages.Input()
    request.example_list.examples.append(example.SerializeToString())
    return request


# ---- classify, regress, multi-inference


def test_signatures_of_tensorflow_2_classify_and_regress(rows: Server) -> None:
    asked = {"signature_name": "classify", "examples": [{"x": 3.0}]}
    assert _post(rows, "tf2:classify", asked).json() == {"results": [[["yes", 3.0]]]}
    asked["signature_name"] = "regress"
    assert _post(rows, "tf2:regress", asked).json() == {"results": [6.0]}


def test_method_names_are_checked_on_request(models: Path, example_list: messages.Input) -> None:
    engine = open_engine(models / "tf2" / "1")
    for checks in (False, True):
        runner = Immediate(engine, checks_method_names=checks)
        for name, infer in (("classify", classify), ("regress", regress)):
            if checks:
                with pytest.raises(InvalidArgumentError, match=f"{name}.*tensorflow/serving/predict"):
                    run_to_end(infer(runner, name, example_list))
            else:
                run_to_end(infer(runner, name, example_list))
    engine.close()
    flags = make_parser().parse_args(["--model_base_path=/m", "--enable_signature_method_name_check"])
    assert create_server(flags)._settings.loading.check_method_names
    assert not ServerSettings().loading.check_method_names


def test_multi_inference_over_signatures_with_inputs_of_their_own(
    models: Path, example_list: messages.Input
) -> None:
    tasks = [messages.InferenceTask(method_name=method) for method in (CLASSIFY, REGRESS)]
    for task, name in zip(tasks, ("classify", "regress"), strict=True):
        task.model_spec.name, task.model_spec.signature_name = "tf2", name
    engine = open_engine(models / "tf2" / "1")
    names = {
        spec.tensor_name for key in ("classify", "regress") for spec in engine.signatures[key].inputs.values()
    }
    assert len(names) == 2
    classified, regressed = run_to_end(multi_inference(Immediate(engine), tasks, example_list))
    assert isinstance(classified, messages.ClassificationResult)
    assert classified.classifications[0].classes[0].score == 3.0
    assert isinstance(regressed, messages.RegressionResult)
    assert regressed.regressions[0].value == 6.0
    engine.close()


@pytest.mark.parametrize("name", ["unnamed", "unlabeled"])
@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_wrong_signature_is_shown_as_text_proto(rows: Server, name: str, verb: str) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    answer = _post(rows, f"tf2:{verb}", {"signature_name": name, "examples": [{"x": 1.0}]})
    assert answer.status_code == 400
    reason = answer.json()["error"]
    shown = text_format.Parse(reason[reason.index("inputs {") :], SignatureDef())
    assert (len(shown.inputs), len(shown.outputs), shown.method_name) == (1, 1, "tensorflow/serving/predict")
    metadata = messages.SignatureDefMap.FromString
    engine_map = open_engine(Path(rows.releases or "") / "tf2" / "1")
    assert shown.SerializeToString(deterministic=True) == SignatureDef.FromString(
        metadata(engine_map.signature_def_map).signature_def[name].SerializeToString()
    ).SerializeToString(deterministic=True)
    engine_map.close()


def test_a_wrong_signature_is_an_invalid_argument_over_grpc(rows: Server) -> None:
    with (
        Client(rows.grpc_url) as client,
        pytest.raises(InvalidArgumentError, match="No classification inputs"),
    ):
        client.classify("tf2", [{"x": 1.0}], signature_name="unnamed")


def test_a_context_that_would_fill_the_memory_is_refused() -> None:
    request = messages.Input()
    request.example_list_with_context.context = bytes(2**20)
    request.example_list_with_context.examples.extend([b""] * 2000)
    with pytest.raises(InvalidArgumentError, match=r"context of 1048576 bytes.*2000 examples"):
        examples_of(request)


# ---- SavedModels


def test_a_ragged_output_is_named_as_the_reason(rows: Server) -> None:
    answer = _post(rows, "tf2:predict", {"signature_name": "ragged", "instances": [1, 2]})
    assert answer.status_code == 400
    assert "ragged" in answer.json()["error"]
    assert "cannot be served" in answer.json()["error"]
    metadata = httpx.get(f"{rows.rest_url}/v1/models/tf2/metadata").json()
    assert "ragged" in metadata["metadata"]["signature_def"]["signature_def"]
    request = messages.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tf2", "ragged"
    with grpc.insecure_channel(f"localhost:{rows.grpc_port}") as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            predict(request.SerializeToString(), timeout=20)
    assert "ragged" in caught.value.details()


def test_a_model_without_variables_needs_no_folder_for_them(models: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m" / "1"
    shutil.copytree(models / "tf2" / "1", copy)
    shutil.rmtree(copy / "variables")
    engine = open_engine(copy)
    assert "classify" in engine.signatures
    engine.close()


def test_a_model_whose_variables_are_missing_does_not_load(releases: Path, tmp_path: Path) -> None:
    copy = tmp_path / "1"
    shutil.copytree(releases / "linear" / "3", copy)
    shutil.rmtree(copy / "variables")
    with pytest.raises(NotFoundError, match=r"variables.index.*missing"):
        open_engine(copy)


@pytest.mark.parametrize("path", ["s3://bucket/m", "gs://bucket/m", "hdfs://host/m"])
def test_a_base_path_of_another_file_system_is_named_in_full(path: str) -> None:
    with pytest.raises(
        UnimplementedError, match=f"File system scheme '{path[:2]}.*' not implemented.*{path}"
    ):
        create_server(make_parser().parse_args([f"--model_base_path={path}"]))
    for given in (path, Path(path)):  # which has lost a slash
        with pytest.raises(UnimplementedError, match=path):
            Server(given)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_base_path_may_be_a_file_url(kind: type[str] | type[Path], tmp_path: Path) -> None:
    save_scale(tmp_path / "m" / "1", 2.0)
    with Server(kind(f"file://{tmp_path}"), rest_port=0, grpc_port=None) as server:
        assert _post(server, "m:predict", {"instances": [1.0]}).json() == {"predictions": [2.0]}


# ---- TFLite


@pytest.mark.parametrize("x", [[2.0], [[2.0]], [[2.0], [4.0]], 2.0])
def test_tflite_inputs_of_one_size_are_resized(rows: Server, x: Any) -> None:
    expected = (np.array(x) / 2 + 2).tolist()
    assert _post(rows, "lite:predict", {"inputs": x}).json() == {"outputs": expected}
    assert _post(rows, "lite:predict", {"inputs": [[2.0]]}).json() == {"outputs": [[3.0]]}


def _definition(x: str, y: str) -> bytes:
    definition = messages.SignatureDef(method_name=REGRESS)
    definition.inputs["number"].name = x
    definition.outputs["half"].name = y
    return definition.SerializeToString()


def test_tflite_signature_defs_in_the_metadata_name_inputs_and_outputs(models: Path, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    plain = Interpreter(str(models / "lite" / "1" / "model.tflite"))
    x, y = plain.get_input_details()[0]["name"], plain.get_output_details()[0]["name"]
    definitions = {"serving_default": _definition(x, y), "legacy": _definition(f"{x.partition(':')[0]}:0", y)}
    save_half_plus_two_tflite(tmp_path / "1" / "model.tflite", definitions)
    engine = open_engine(tmp_path / "1")
    assert engine.signatures.keys() == {"serving_default", "legacy"}
    for name, signature in engine.signatures.items():
        assert ([*signature.inputs], [*signature.outputs], signature.method_name) == (
            ["number"],
            ["half"],
            REGRESS,
        )
        (half,) = engine.run(name, {"number": np.float32([2, 4])}, ["half"])
        assert half.tolist() == [3, 4]
    engine.close()
    save_half_plus_two_tflite(tmp_path / "2" / "model.tflite", {"s": _definition("elsewhere", y)})
    with pytest.raises(InvalidArgumentError, match=r"input number.*elsewhere"):
        open_engine(tmp_path / "2")


# ---- batching parameters of a version


@pytest.mark.parametrize("own", [True, False])
def test_per_model_batching_is_by_the_file_of_the_version(tmp_path: Path, own: bool) -> None:
    version = tmp_path / "m" / "1"
    save_scale(version, 2.0)
    if own:
        (version / "batching_params.pbtxt").write_text(
            "max_batch_size { value: 3 } num_batch_threads { value: 9 }"
        )
    flags = ["--model_base_path=/m", "--enable_batching", "--enable_per_model_batching_parameters"]
    loading = create_server(make_parser().parse_args(flags))._settings.loading
    assert (loading.per_model_batching, loading.batching) == (True, BatchingOptions())
    loading = Loading(batching=BatchingOptions(max_batch_size=7, threads=1), per_model_batching=True)
    engine = loading(VersionFolder(1, version, 1))
    if own:
        assert isinstance(engine, BatchingEngine)
        assert (engine._options.max_batch_size, engine._options.threads) == (3, 1)
    else:
        assert not isinstance(engine, BatchingEngine)
    engine.close()
