"""Training on several workers: processes of this machine that talk over its loopback.

Each process imports TensorFlow anew, so what two workers can show is shown by one pair of them.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_dl.callbacks import latest_checkpoint
from keras_dl.training import load_run
from tests.keras_dl.training.distribution.distribution_worker import SETTINGS, STEP_SECONDS, trained

pytestmark = pytest.mark.slow

SECONDS = 240  # for a launch, on a busy machine
SCRIPT = Path(__file__).with_name("distribution_worker.py")


def launch(folder: Path, task: str, workers: int) -> list[subprocess.CompletedProcess[str]]:
    """Run that many workers to their end; none outlives the test."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes = [start(folder, task, addresses, index) for index in range(workers)]
    done = []
    try:
        for process in processes:
            out, error = process.communicate(timeout=SECONDS)
            done.append(subprocess.CompletedProcess(process.args, process.returncode, out, error))
    finally:
        for process in processes:
            process.kill()
    return done


def start(
    folder: Path, task: str, addresses: list[str], index: int, join_seconds: int = 120
) -> subprocess.Popen[str]:
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    environment = {
        **os.environ,
        "TF_CONFIG": json.dumps(config),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "KERAS_DL_JOIN_SECONDS": str(join_seconds),
        "KERAS_DL_STEP_SECONDS": str(STEP_SECONDS if task == "resumed" else 60),
    }
    command = [sys.executable, str(SCRIPT), str(folder), task]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def succeed(folder: Path, task: str, workers: int) -> list[dict[str, Any]]:
    for process in launch(folder, task, workers):
        assert process.returncode == 0, process.stderr[-3000:]
    return [weights(folder, index) for index in range(workers)]


def weights(folder: Path, index: int) -> dict[str, Any]:
    with np.load(folder / f"{index}.npz") as file:
        return dict(file)


def report(folder: Path, index: int) -> Any:
    return json.loads((folder / f"{index}.json").read_text())


def assert_equal(one: dict[str, Any], other: dict[str, Any], atol: float) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each model trained by one worker: its weights, and its history."""
    folder = tmp_path_factory.mktemp("alone")
    runs = {name: trained(name, folder / name) for name in SETTINGS}
    weights = {
        f"{name} {i:03d}": np.asarray(v)
        for name, run in runs.items()
        for i, v in enumerate(run.model.variables)
    }
    return weights, {name: run.history for name, run in runs.items()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers left that trained all models."""
    folder = tmp_path_factory.mktemp("pair")
    succeed(folder, "all", 2)
    return folder


def test_two_workers_have_the_same_bits(pair: Path) -> None:
    assert_equal(weights(pair, 0), weights(pair, 1), atol=0)
    assert report(pair, 0)["histories"] == report(pair, 1)["histories"]


def test_two_workers_train_as_one_does(pair: Path, alone: Any) -> None:
    """Batch normalization, clipped gradients, dropout, latents and the odd last batch included."""
    ours, histories = alone
    assert_equal(weights(pair, 0), ours, atol=1e-4)
    for name, history in report(pair, 0)["histories"].items():
        for figure, values in history.items():
            assert values == pytest.approx(histories[name][figure], rel=1e-3, abs=1e-4), (name, figure)


def test_only_the_chief_writes(pair: Path) -> None:
    folders = {path.name for path in pair.iterdir() if path.is_dir()}
    assert folders == {*(f"{name} 0" for name in SETTINGS), "in use", "here 0", "here 1"}
    run = load_run(pair / "vae-digits 0")
    assert run.metrics["test_elbo"] > run.history["val_elbo"][0]
    assert len(run.history["loss"]) == 2


def test_workers_that_differ_raise_an_error(pair: Path) -> None:
    chief, other = (report(pair, index)["errors"] for index in (0, 1))
    for errors in (chief, other):
        for name in ("data", "later rows", "vocabulary"):
            assert "data: expected the same on all workers, got another than the chief's" in errors[name]
        assert "recipe: expected the same on all workers" in errors["recipe"]
        assert "batch_size: expected a multiple of the 2 replicas that share it, got 7" in errors["batch"]
    assert "This worker has" not in chief["data"]
    assert "This worker has arrays" in other["data"]
    assert "This worker has arrays" in other["later rows"]
    assert "vocabulary \n !be" in chief["vocabulary"]


def test_a_worker_that_cannot_begin_is_named_to_the_others(pair: Path) -> None:
    chief, other = (report(pair, index)["errors"] for index in (0, 1))
    begun = r"ClusterError: TF_CONFIG: the training cannot begin on all workers. 127\.0\.0\.1:\d+: "
    assert chief["out"].startswith("FileExistsError")
    assert re.match(begun + "FileExistsError: out: .* is not empty", other["out"])
    assert other["setting"].startswith("ValueError: settings: the recipe 'mlp-digits' has no setting 'nope'")
    assert re.match(begun + "ValueError: settings: the recipe 'mlp-digits' has no", chief["setting"])
    assert other["name"].startswith("LookupError")
    assert re.match(begun + "LookupError: .*nope", chief["name"])


def test_a_finished_run_is_returned_to_all(pair: Path) -> None:
    chief, other = (report(pair, index)["again"] for index in (0, 1))
    assert (other["folder"], other["metrics"]) == ("runs", {})
    assert Path(chief["folder"]) == pair / "vae-digits 0"
    assert chief["metrics"] == load_run(pair / "vae-digits 0").metrics
    assert chief["history"] == other["history"]


def test_three_workers_train_as_one_does(tmp_path: Path, alone: Any) -> None:
    first, *others = succeed(tmp_path, "three", 3)
    for other in others:
        assert_equal(first, other, atol=0)
    assert_equal(first, alone[0], atol=1e-4)


def test_a_killed_worker_continues_from_the_last_checkpoint_to_the_same_result(
    tmp_path: Path, pair: Path
) -> None:
    chief, killed = launch(tmp_path, "killed", 2)
    assert killed.returncode == -9
    assert chief.returncode == 1
    assert "TF_CONFIG: a worker was lost while training. Start all of them again" in chief.stderr
    _, epochs = latest_checkpoint(tmp_path / "vae-digits 0" / "checkpoints")
    assert epochs == 1
    ours, theirs = succeed(tmp_path, "resumed", 2)
    assert_equal(ours, theirs, atol=0)
    uninterrupted = {name: values for name, values in weights(pair, 0).items() if name.startswith("vae")}
    assert_equal(ours, uninterrupted, atol=0)
    assert len(load_run(tmp_path / "vae-digits 0").history["loss"]) == 2
    assert not (tmp_path / "vae-digits 1").exists()
    asleep = report(tmp_path, 0)["asleep"]
    assert f"some worker did not take part in a step for {STEP_SECONDS} seconds" in asleep["error"]
    assert STEP_SECONDS <= asleep["seconds"] < STEP_SECONDS + SECONDS / 2


def test_a_worker_that_answers_but_does_not_join_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        free = f"127.0.0.1:{own.getsockname()[1]}"
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        process = start(tmp_path, "all", [free, address], 0, join_seconds=3)
        try:
            _, error = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == -9
    assert f"some of the workers {address} answered, but did not join within 3 seconds" in error
