"""The descriptors of the server's services under the original's names, for gRPC's reflection.

`serving.proto` and `config.proto` are in a package of their own, with bytes for what the server passes on
unread. Here, their messages get the names and types of TensorFlow Serving's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from keras_dl_serving.protocol.wire import messages

_OURS = ".keras_dl.serving."
_WRAPPERS, _ANY = "google/protobuf/wrappers.proto", "google/protobuf/any.proto"
_TENSORFLOW, _SERVING, _HEALTH = "tensorflow", "tensorflow.serving", "grpc.health.v1"
_REFLECTION = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_GOOGLE = ("Any", "Int64Value", "StringValue", "BoolValue")
_PACKAGES = {
    _TENSORFLOW: (
        *(
            "DataType",
            "TensorShapeProto",
            "TensorProto",
            "TensorInfo",
            "SignatureDef",
            "BytesList",
            "FloatList",
        ),
        *(
            "Int64List",
            "Feature",
            "Features",
            "Example",
            "ProfileOptions",
            "ProfileRequest",
            "ProfileResponse",
        ),
        *("TerminateRequest", "TerminateResponse", "MonitorRequest", "MonitorResponse"),
    ),
    _HEALTH: ("HealthCheckRequest", "HealthCheckResponse"),
    _REFLECTION[0]: (
        *("ServerReflectionRequest", "ServerReflectionResponse", "FileDescriptorResponse", "ServiceResponse"),
        *("ListServiceResponse", "ErrorResponse"),
    ),
}
_DEFAULT_TENSOR = "DefaultTensorProto"  # a TensorProto with the original's types
_EXAMPLES = {"ExampleList": ("examples",), "ExampleListWithContext": ("examples", "context")}


@dataclass(frozen=True)
class Method:
    """A method of a service.

    Attributes:
        request: the name of the request's message; the response's ends in `Response` instead.
        asks_many: whether the request is a stream.
        answers_many: whether the response is a stream.
    """

    request: str
    asks_many: bool = False
    answers_many: bool = False


class Descriptors:
    """Descriptor files by name and by symbol.

    Args:
        services: by the full name of each service, its methods by name.
    """

    def __init__(self, services: Mapping[str, Mapping[str, Method]]) -> None:
        self._files = {file.name: file for file in _files(services)}
        self._symbols = {symbol: file.name for file in self._files.values() for symbol in _symbols(file)}

    def of_file(self, name: str) -> list[bytes]:
        """Return a file and the files that it imports.

        Raises:
            KeyError: there is no such file.
        """
        return [file.SerializeToString() for file in self._with_imports(name)]

    def of_symbol(self, symbol: str) -> list[bytes]:
        """Return the file of a service, method, message, field or enum, and the files that it imports.

        Raises:
            KeyError: there is no such symbol.
        """
        name = symbol.lstrip(".")
        while name not in self._symbols:
            name, dot, _ = name.rpartition(".")
            if not dot:
                raise KeyError(symbol)
        return self.of_file(self._symbols[name])

    def _with_imports(self, name: str) -> Iterator[FileDescriptorProto]:
        file = self._files[name]
        yield file
        for dependency in file.dependency:
            yield from self._with_imports(dependency)


def _symbols(file: FileDescriptorProto) -> Iterator[str]:
    named: Iterable[DescriptorProto | EnumDescriptorProto | ServiceDescriptorProto]
    named = (*file.message_type, *file.enum_type, *file.service)
    for each in named:
        yield f"{file.package}.{each.name}"


def _files(services: Mapping[str, Mapping[str, Method]]) -> Iterator[FileDescriptorProto]:
    yield FileDescriptorProto.FromString(wrappers_pb2.DESCRIPTOR.serialized_pb)
    yield FileDescriptorProto.FromString(any_pb2.DESCRIPTOR.serialized_pb)
    named = {name for names in _PACKAGES.values() for name in names}
    rest = [name for name in _definitions() if name not in (*named, *_GOOGLE, _DEFAULT_TENSOR)]
    tensorflow = _file(_TENSORFLOW, _PACKAGES[_TENSORFLOW], services)
    yield tensorflow
    yield _file(_SERVING, rest, services, (tensorflow.name, _WRAPPERS, _ANY))
    yield _file(_HEALTH, _PACKAGES[_HEALTH], services)
    for package in _REFLECTION:
        yield _file(package, _PACKAGES[_REFLECTION[0]], services)


def _definitions() -> dict[str, DescriptorProto]:
    return {message.name: message for file in _sources() for message in file.message_type}


def _sources() -> Iterator[FileDescriptorProto]:
    for message in (messages.TensorProto, messages.ModelConfig):
        yield FileDescriptorProto.FromString(message.DESCRIPTOR.file.serialized_pb)


def _file(
    package: str,
    names: Iterable[str],
    services: Mapping[str, Mapping[str, Method]],
    imports: Iterable[str] = (),
) -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3", dependency=imports)
    definitions, here = _definitions(), {*names}
    packages = {name: each for each, members in _PACKAGES.items() for name in members}
    packages |= dict.fromkeys(_GOOGLE, "google.protobuf") | dict.fromkeys(here, package)

    def rename(message: DescriptorProto) -> None:
        for nested in message.nested_type:
            rename(nested)
        for field in message.field:
            if field.name in _EXAMPLES.get(message.name, ()):
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_TENSORFLOW}.Example"
            elif field.type_name:
                name = field.type_name.removeprefix(_OURS).replace(_DEFAULT_TENSOR, "TensorProto")
                field.type_name = f".{packages.get(name.partition('.')[0], _SERVING)}.{name}"

    for name, definition in definitions.items():
        if name in here and name != "TensorProto":
            file.message_type.add().CopyFrom(definition)
        elif name == _DEFAULT_TENSOR and "TensorProto" in here:
            file.message_type.add().CopyFrom(definition)
            file.message_type[-1].name = "TensorProto"
    for message in file.message_type:
        rename(message)
    for source in _sources():
        for enum in source.enum_type:
            if packages.get(enum.name, _SERVING) == package:
                file.enum_type.add().CopyFrom(enum)
    for full_name, methods in services.items():
        owner, _, name = full_name.rpartition(".")
        if owner == package:
            service = file.service.add(name=name)
            for method_name, method in methods.items():
                service.method.add(
                    name=method_name,
                    input_type=f".{package}.{method.request}",
                    output_type=f".{package}.{method.request.removesuffix('Request')}Response",
                    client_streaming=method.asks_many,
                    server_streaming=method.answers_many,
                )
    return file
