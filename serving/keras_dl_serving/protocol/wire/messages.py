"""The message classes of `serving.proto` and `config.proto`, in a descriptor pool of their own.

TensorFlow and the official stubs register the same messages in protobuf's default pool, which refuses a
second definition of a name. A private pool avoids these conflicts and the version check of generated code:
it works with every protobuf runtime, before and after TensorFlow is imported. `messages.pyi` beside this
file declares the classes for type checkers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool, message_factory


def _files(descriptor_set: bytes) -> Iterator[bytes]:
    """Yield the files in a `FileDescriptorSet`: its only field, each after a tag and its length.

    `descriptor_pb2` could read it, but takes 0.03 s to import, of the 0.5 s that a client may take to start.
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
