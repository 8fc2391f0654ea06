"""Sockets of a server are closed in a forked process.

A child inherits every socket of its parent. A server's would hold its ports after it has stopped, and keep
connections open after it has closed them, so that clients would wait for a child that never answers.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

_FILES = Path("/dev/fd")  # the open files of the process that reads it
_addresses: WeakKeyDictionary[object, set[int | str]] = WeakKeyDictionary()


def note_addresses(server: object, *addresses: int | str | None) -> None:
    """Register the TCP ports and UNIX socket paths of a server; without any when it has stopped."""
    _addresses[server] = {address for address in addresses if address is not None}


def _after_fork() -> None:
    addresses = {address for each in _addresses.values() for address in each}
    if not addresses:
        return
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for file in [int(each.name) for each in _FILES.iterdir()]:
        with suppress(OSError):  # the descriptor of the folder itself, which is closed already
            if _local_address(file) in addresses:
                os.dup2(nothing, file, inheritable=False)  # replaced, as its owner closes that number
    os.close(nothing)


def _local_address(file: int) -> int | str | None:
    if not stat.S_ISSOCK(os.fstat(file).st_mode):
        return None
    found = socket.socket(fileno=file)
    try:
        name: Any = found.getsockname()
    finally:
        found.detach()
    address: int | str = name[1] if found.family in (socket.AF_INET, socket.AF_INET6) else name
    return address


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
