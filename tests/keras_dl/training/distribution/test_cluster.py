"""TF_CONFIG, and workers that do not start."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest

from keras_dl.training.distribution import check_for_replicas, open_team
from keras_dl.training.distribution.cluster import Cluster, ClusterError, cluster_of, wait_for_all
from keras_dl.training.distribution.exchange_errors import cause_of

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster: Any, task: Any) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.mark.parametrize(
    ("cluster", "task", "addresses", "index"),
    [
        (TWO, {"type": "worker", "index": 0}, ("a:1", "b:2"), 0),
        (TWO, {"type": "worker", "index": 1}, ("a:1", "b:2"), 1),
        ({**TWO, "chief": ["c:3"]}, {"type": "chief", "index": 0}, ("c:3", "a:1", "b:2"), 0),
        ({**TWO, "chief": ["c:3"]}, {"type": "worker", "index": 1}, ("c:3", "a:1", "b:2"), 2),
        ({"worker": ["[::1]:5"]}, {"type": "worker", "index": 0}, ("[::1]:5",), 0),
        ({"worker": ["a.b-c_d.:5"]}, {"type": "worker", "index": 0}, ("a.b-c_d.:5",), 0),
        ({"worker": ["a" * 63 + ".b:5"]}, {"type": "worker", "index": 0}, ("a" * 63 + ".b:5",), 0),
    ],
)
def test_the_chief_comes_first(cluster: Any, task: Any, addresses: Any, index: int) -> None:
    found = cluster_of(config(cluster, task))
    assert found == Cluster(addresses, index)
    assert found.is_chief == (index == 0)
    assert found.others == tuple(each for each in addresses if each != addresses[index])


WORKER = {"type": "worker", "index": 0}
NO_ADDRESSES = [
    "a" * 64 + ":2222",
    "..:2222",
    ".a:2222",
    "grpc://127.0.0.1:2222",
    "a :2222",
    "a/b:2222",
    "::1:2222",
    "a:\uff12\uff12",
    "a\n:2222",
    ":2222",
]


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({}, "expected the cluster of strategy='multi-worker', got none"),
        ({"TF_CONFIG": " "}, "got none"),
        ({"TF_CONFIG": "{"}, "expected JSON, got '{'"),
        ({"TF_CONFIG": "[]"}, "expected an object with 'cluster'"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "expected an object with 'task'"),
        (config([], WORKER), "expected an object with 'cluster'"),
        (config({"worker": "a:1"}, WORKER), "expected a list of addresses as 'worker', got 'a:1'"),
        (config({"worker": ["a"]}, WORKER), "expected addresses host:port, got 'a'"),
        (config({"worker": ["a:0"]}, WORKER), "expected addresses host:port, got 'a:0'"),
        (config({"worker": ["a:65536"]}, WORKER), "expected addresses host:port, got 'a:65536'"),
        (config({"worker": [7]}, WORKER), "expected addresses host:port, got 7"),
        *(
            (config({"worker": [each]}, WORKER), "expected addresses host:port, got ")
            for each in NO_ADDRESSES
        ),
        ({"TF_CONFIG": "[" * 100_000}, "expected JSON, got '"),
        (config({"worker": ["a:1", "a:1"]}, WORKER), "expected a different address for each task, got a:1"),
        (config({"chief": ["a:1", "b:1"]}, WORKER), "expected one chief at most, got 2"),
        (config({**TWO, "ps": ["c:3"]}, WORKER), "which train in step, got cluster 'ps'"),
        (config(TWO, {"type": "worker", "index": 2}), "worker 0, worker 1.*, got type 'worker', index 2"),
        (config(TWO, {"type": "worker", "index": "0"}), "got type 'worker', index '0'"),
        (config(TWO, {"type": "worker", "index": False}), "got type 'worker', index False"),
        (config(TWO, {"type": "chief", "index": 0}), "got type 'chief', index 0"),
        (config(TWO, {"type": "worker"}), "got type 'worker', index None"),
        (config({}, WORKER), "no task at all"),
    ],
)
def test_malformed_configurations_are_explained(environment: dict[str, str], error: str) -> None:
    with pytest.raises(
        ValueError, match=f"^TF_CONFIG: .*{error.replace('[', '.').replace('{', '.')}"
    ) as info:
        cluster_of(environment)
    assert "Set it on every worker, the same but for the index" in str(info.value)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_worker_that_never_starts_is_named_before_the_deadline() -> None:
    mine, there, away = (free_address() for _ in range(3))
    host, port = there.split(":")
    with socket.create_server((host, int(port))):
        began = time.monotonic()
        with pytest.raises(ClusterError, match="1 of 3 workers did not answer within 0.5 seconds") as info:
            wait_for_all(Cluster((there, mine, away), 1), 0.5)
    assert time.monotonic() - began < 5
    assert f": {away}. Start the training there, too" in str(info.value)
    wait_for_all(Cluster((mine,), 0), 0.1)  # its port is free again


def test_workers_connect_in_any_order() -> None:
    addresses = tuple(free_address() for _ in range(3))
    found: list[int] = []

    def worker(index: int) -> None:
        time.sleep(0.3 * (2 - index))
        wait_for_all(Cluster(addresses, index), 20)
        found.append(index)
        # tf.distribute opens the port again
        host, port = addresses[index].split(":")
        with socket.create_server((host, int(port))):
            time.sleep(2)

    threads = [threading.Thread(target=worker, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == [0, 1, 2]


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            ClusterError, match=f"own address is {address}, but port .* cannot be opened"
        ) as info:
            wait_for_all(Cluster((address,), 0), 1)
    assert "cannot be opened (Address already in use). Stop what uses it" in str(info.value)


GRAPH = """Graph execution error:

Detected at node CollectiveReduceV2 defined at (most recent call last):
  File "train.py", line 7, in <module>

  File "trainer.py", line 134, in one_step_on_data

"""


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            GRAPH
            + "Collective ops is aborted by: Connection reset by peer\nAdditional GRPC error information:\n"
            "The error could be from a previous operation. Restart your program to reset.\n\t [[{{node C}}]]",
            "Connection reset by peer",
        ),
        (
            "{{function_node __wrapped__C_/job:worker/task:1}} Collective ops is aborted by: It stopped",
            "It stopped",
        ),
        (
            GRAPH + "2 root error(s) found.\n  (0) CANCELLED:  It was cancelled\n\t [[a]]",
            "CANCELLED:  It was cancelled",
        ),
        ("Graph execution error:\n\n", "Graph execution error:"),
    ],
)
def test_the_cause_is_extracted_from_tensorflows_message(message: str, cause: str) -> None:
    assert cause_of(message) == cause


@pytest.mark.parametrize(("batch_size", "choice"), [(7, "6 or 9"), (2, "3"), (100, "99 or 102")])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(batch_size: int, choice: str) -> None:
    with pytest.raises(ValueError, match=f"a multiple of the 3 .* got {batch_size}. Choose {choice}.$"):
        check_for_replicas(batch_size, "float32", 3)


def test_float16_is_for_one_device() -> None:
    check_for_replicas(8, "mixed_float16", 1)
    check_for_replicas(8, "mixed_bfloat16", 2)
    with pytest.raises(ValueError, match="precision: expected 'float32' or 'mixed_bfloat16' for several"):
        check_for_replicas(8, "mixed_float16", 2)


def test_an_invalid_timeout_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config({"worker": [free_address()]}, WORKER)["TF_CONFIG"])
    for text in ("soon", "0", "-1", "inf"):
        monkeypatch.setenv("KERAS_DL_JOIN_SECONDS", text)
        with pytest.raises(ValueError, match=f"KERAS_DL_JOIN_SECONDS: expected a number .*, got '{text}'"):
            open_team("multi-worker")
