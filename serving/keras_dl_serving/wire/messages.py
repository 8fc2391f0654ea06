"""The message classes of `serving.proto`, in a descriptor pool of their own.

TensorFlow and the official stubs register the same messages in protobuf's default pool, which refuses a
second definition of a name; a private pool meets neither them nor a version check of generated code, so it
works with every protobuf runtime, before and after TensorFlow is imported. `messages.pyi` beside this file
tells type checkers what is in here.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILE = descriptor_pb2.FileDescriptorSet.FromString(
    Path(__file__).with_name("serving.desc").read_bytes()
).file[0]
_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_FILE.SerializeToString())

globals().update(
    (
        message.name,
        message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_FILE.package}.{message.name}")),
    )
    for message in _FILE.message_type
)

__all__ = [message.name for message in _FILE.message_type]
