"""Training on the devices of one machine, here two that share its processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.keras_dl.training.distribution.mirrored_trainings import SETTINGS

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("mirrored_trainings.py")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("mirrored")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "report.json")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "report.json").read_text())


def test_the_example_of_the_page_prints_the_number_of_replicas(report: Any) -> None:
    assert "training on 2 replicas: CPU:0, CPU:1" in report["printed"]


@pytest.mark.parametrize("name", SETTINGS)
def test_batches_of_fewer_examples_than_replicas_train_as_on_one_device(report: Any, name: str) -> None:
    """A replica without an example joins the exchanges and contributes zero, with convolutions, too."""
    for figure, difference in report["differences"][name].items():
        assert difference < 1e-4, figure


def test_broken_exchanges_are_explained_in_this_and_in_later_trainings(report: Any) -> None:
    """After that TensorFlow refuses every exchange of the process."""
    assert len(report["errors"]) == 2
    for error in report["errors"]:
        assert error.startswith("ClusterError: strategy: the exchanges between the replicas failed")
        assert "new process" in error
        assert "TensorFlow reports: Shape mismatch in the collective" in error
