"""The message classes of `serving.proto` and `config.proto`, in a descriptor pool of their own.

TensorFlow and the official stubs register the same messages in protobuf's default pool, which refuses a
second definition of a name; a private pool meets neither them nor a version check of generated code, so it
works with every protobuf runtime, before and after TensorFlow is imported. `messages.pyi` beside this file
tells type checkers what is in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool, message_factory


def _files(descriptor_set: bytes) -> Iterator[bytes]:
    """The files in a `FileDescriptorSet`, whose only field they are, each behind a tag and its length.

    `descriptor_pb2` reads it too, but takes 0.03 s to import, of the half that a client may take to start.
    """
    at = 0
    while at < len(descriptor_set):
        size = shift = 0
        more = True
        while more:
            at += 1
            more = descriptor_set[at] >= 0x80
            size |= (descriptor_set[at] & 0x7F) << shift
            shift += 7
        yield descriptor_set[at + 1 : at + 1 + size]
        at += 1 + size


_POOL = descriptor_pool.DescriptorPool()
for _file in _files(Path(__file__).with_name("serving.desc").read_bytes()):
    _POOL.AddSerializedFile(_file)
_MESSAGES = {
    name: message
    for file in ("serving.proto", "config.proto")
    for name, message in _POOL.FindFileByName(file).message_types_by_name.items()
}

globals().update((name, message_factory.GetMessageClass(each)) for name, each in _MESSAGES.items())

__all__ = list(_MESSAGES)
