"""The workers that `TF_CONFIG` names, and a wait for all of them.

`TF_CONFIG` is what tf.distribute reads and a Kubernetes TFJob writes:

    {"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}

It is the same on all workers but for `index`. The first worker, or the one of type `chief`, is the chief.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_dl_export.errors import KerasDLError

_EXAMPLE = '{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}'
_ADVICE = f"Set it on every worker, the same but for the index: {_EXAMPLE}."
_ADDRESS = re.compile(r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")
_LONGEST_LABEL = 63  # of a host's name, between its dots
_ROLES = ("chief", "worker")  # in the order in which they are counted
_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Cluster:
    """The workers, and the place of this process among them.

    Attributes:
        addresses: host:port of each worker, the chief first.
        index: this worker's place among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the files."""
        return self.index == 0

    @property
    def others(self) -> tuple[str, ...]:
        """The addresses of all workers but this one."""
        return self.addresses[: self.index] + self.addresses[self.index + 1 :]


class ClusterError(KerasDLError, RuntimeError):
    """The workers or replicas did not come together, or one of them was lost."""


def cluster_of(environment: Mapping[str, str] | None = None) -> Cluster:
    """Return the cluster that `TF_CONFIG` describes.

    Args:
        environment: the variables; `os.environ` by default.

    Raises:
        ValueError: the variable is missing or malformed.
    """
    text = (os.environ if environment is None else environment).get("TF_CONFIG", "")
    if not text.strip():
        raise ValueError(f"TF_CONFIG: expected the cluster of strategy='multi-worker', got none. {_ADVICE}")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("JSON", f"{text[:200]!r} ({error})") from None
    jobs, task = (_mapping(config, name) for name in ("cluster", "task"))
    if unknown := [name for name in jobs if name not in _ROLES]:
        raise _malformed(
            "tasks of the types 'worker' and 'chief', which train in step", f"cluster {unknown[0]!r}"
        )
    tasks = [
        (role, index, _address(address))
        for role in _ROLES
        for index, address in enumerate(_addresses(jobs, role))
    ]
    addresses = tuple(address for _, _, address in tasks)
    if len(set(addresses)) < len(addresses):
        raise _malformed("a different address for each task", ", ".join(addresses))
    if len(jobs.get("chief", ())) > 1:
        raise _malformed("one chief at most", f"{len(jobs['chief'])}")
    mine = (task.get("type"), task.get("index"))
    places = [place for place, (role, index, _) in enumerate(tasks) if (role, index) == mine]
    if not places or isinstance(mine[1], bool):
        listed = ", ".join(f"{role} {index}" for role, index, _ in tasks) or "no task at all"
        raise _malformed(f"a task of its cluster ({listed})", f"type {mine[0]!r}, index {mine[1]!r}")
    return Cluster(addresses, places[0])


def wait_for_all(cluster: Cluster, seconds: float) -> None:
    """Return once every worker of the cluster can be reached.

    tf.distribute itself would wait without naming the missing ones. Each worker opens its port and connects
    to those of the others; then the port is free for tf.distribute.

    Args:
        cluster: the workers.
        seconds: the time limit.

    Raises:
        ClusterError: a worker could not be reached in time, or this worker's port is taken.
    """
    deadline = time.monotonic() + seconds
    with _open_port(cluster.addresses[cluster.index]):
        missing = list(cluster.others)
        while missing:
            missing = [address for address in missing if not _answers(address)]
            if missing and time.monotonic() > deadline:
                raise ClusterError(
                    f"TF_CONFIG: {len(missing)} of {len(cluster.addresses)} workers did not answer within "
                    f"{seconds:g} seconds: {', '.join(missing)}. Start the training there, too, with the "
                    "same cluster in TF_CONFIG, and see that these addresses can be reached from "
                    f"{cluster.addresses[cluster.index]}."
                )
            if missing:
                time.sleep(_RETRY_SECONDS)


def _open_port(address: str) -> socket.socket:
    host, port = _split(address)
    own = (
        "" if host not in ("localhost", "127.0.0.1", "::1") else host
    )  # a pod cannot always resolve its own name
    try:
        return socket.create_server((own, port), family=socket.AF_INET6 if ":" in own else socket.AF_INET)
    except OSError as error:
        raise ClusterError(
            f"TF_CONFIG: this worker's own address is {address}, but port {port} cannot be opened "
            f"({os.strerror(error.errno or 0)}). Stop what uses it, or give the task another port on all "
            "workers."
        ) from None


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(_split(address), timeout=1.0):
            return True
    except OSError:
        return False


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _mapping(config: Any, name: str) -> dict[str, Any]:
    value = config.get(name) if isinstance(config, dict) else None
    if not isinstance(value, dict):
        raise _malformed(f"an object with {name!r}", repr(config))
    return value


def _addresses(jobs: Mapping[str, Any], role: str) -> Sequence[Any]:
    addresses = jobs.get(role, [])
    if not isinstance(addresses, list):
        raise _malformed(f"a list of addresses as {role!r}", repr(addresses))
    return addresses


def _address(address: Any) -> str:
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match[2]) < 65536 or not _is_host(match[1]):
        raise _malformed("addresses host:port", repr(address))
    return match[0]


def _is_host(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return host.startswith("[") or all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def _malformed(expected: str, got: str) -> ValueError:
    return ValueError(f"TF_CONFIG: expected {expected}, got {got}. {_ADVICE}")
