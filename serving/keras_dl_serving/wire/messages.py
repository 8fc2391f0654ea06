"""The message classes of `serving.proto` and `config.proto`, in a descriptor pool of their own.

TensorFlow and the official stubs register the same messages in protobuf's default pool, which refuses a
second definition of a name; a private pool meets neither them nor a version check of generated code, so it
works with every protobuf runtime, before and after TensorFlow is imported. `messages.pyi` beside this file
tells type checkers what is in here.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILES = descriptor_pb2.FileDescriptorSet.FromString(
    Path(__file__).with_name("serving.desc").read_bytes()
).file
_POOL = descriptor_pool.DescriptorPool()
for _file in _FILES:
    _POOL.AddSerializedFile(_file.SerializeToString())

globals().update(
    (
        message.name,
        message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_file.package}.{message.name}")),
    )
    for _file in _FILES
    for message in _file.message_type
)

__all__ = [message.name for _file in _FILES for message in _file.message_type]
