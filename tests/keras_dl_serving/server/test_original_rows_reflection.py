"""gRPC reflection, as grpcurl and Postman use it: the descriptors suffice for a call."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from keras_dl_serving import Server
from keras_dl_serving.protocol.wire import messages


def _ask(channel: grpc.Channel, version: str, *asked: messages.ServerReflectionRequest) -> list[Any]:
    info = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=messages.ServerReflectionRequest.SerializeToString,
        response_deserializer=messages.ServerReflectionResponse.FromString,
    )
    return list(info(iter(asked), timeout=30))


def _request(**what: str) -> messages.ServerReflectionRequest:
    request = messages.ServerReflectionRequest()
    for name, value in what.items():
        setattr(request, name, value)
    return request


def _pool(responses: list[Any]) -> descriptor_pool.DescriptorPool:
    found = {}
    for response in responses:
        for serialized in response.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
            found[file.name] = file
    pool = descriptor_pool.DescriptorPool()

    def add(name: str) -> None:
        file = found.pop(name, None)
        if file:
            for dependency in file.dependency:
                add(dependency)
            pool.Add(file)

    for name in [*found]:
        add(name)
    return pool


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_a_client_without_protos_calls_by_reflection(triple: Server, version: str) -> None:
    with grpc.insecure_channel(f"localhost:{triple.grpc_port}") as channel:
        (listed,) = _ask(channel, version, _request(list_services="*"))
        services = [each.name for each in listed.list_services_response.service]
        assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= {*services}
        pool = _pool(_ask(channel, version, *(_request(file_containing_symbol=name) for name in services)))
        for name in services:
            pool.FindServiceByName(name)
        method = pool.FindServiceByName("tensorflow.serving.PredictionService").methods_by_name["Predict"]
        request = json_format.ParseDict(
            {
                "model_spec": {"name": "triple", "version": 1},
                "inputs": {
                    "x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [1, 2]}
                },
            },
            message_factory.GetMessageClass(method.input_type)(),
        )
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        reply = raw(request.SerializeToString(), timeout=30)
        answer = message_factory.GetMessageClass(method.output_type).FromString(reply)
        assert list(answer.outputs["y"].float_val) == [3, 6]
        assert answer.model_spec.version.value == 1


def test_metadata_is_decoded_by_reflection(triple: Server) -> None:
    symbols = ("tensorflow.serving.PredictionService.GetModelMetadata", "tensorflow.serving.SignatureDefMap")
    with grpc.insecure_channel(f"localhost:{triple.grpc_port}") as channel:
        pool = _pool(_ask(channel, "v1", *(_request(file_containing_symbol=name) for name in symbols)))
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
        asked = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "triple"
        reply = raw(asked.SerializeToString(), timeout=30)
    kind = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.GetModelMetadataResponse")
    )
    document = json_format.MessageToDict(kind.FromString(reply), descriptor_pool=pool)
    assert (
        document["metadata"]["signature_def"]["signatureDef"]["serving_default"]["inputs"]["x"]["dtype"]
        == "DT_FLOAT"
    )


def test_messages_match_the_original(triple: Server) -> None:
    from tensorflow.core.framework import tensor_pb2
    from tensorflow_serving.apis import input_pb2, predict_pb2

    with grpc.insecure_channel(f"localhost:{triple.grpc_port}") as channel:
        pool = _pool(
            _ask(channel, "v1", _request(file_containing_symbol="tensorflow.serving.PredictionService"))
        )
    kinds = (predict_pb2.PredictRequest, tensor_pb2.TensorProto, input_pb2.ExampleList, input_pb2.Input)
    for kind in kinds:
        original = kind.DESCRIPTOR
        ours = pool.FindMessageTypeByName(original.full_name)
        for field in ours.fields:
            theirs = original.fields_by_name[field.name]
            assert (field.number, field.is_repeated) == (theirs.number, theirs.is_repeated)
            if field.message_type and field.name not in ("resource_handle_val", "variant_val"):
                assert field.message_type.full_name == theirs.message_type.full_name


def test_an_unknown_symbol_is_an_error_in_the_stream(triple: Server) -> None:
    with grpc.insecure_channel(f"localhost:{triple.grpc_port}") as channel:
        responses = _ask(
            channel,
            "v1",
            _request(file_by_filename="nowhere.proto"),
            _request(file_containing_symbol="no.Such"),
            _request(all_extension_numbers_of_type="tensorflow.Example"),
            _request(file_by_filename="google/protobuf/any.proto"),
        )
    assert [each.error_response.error_code for each in responses] == [5, 5, 5, 0]
