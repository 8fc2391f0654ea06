"""The quickstart command, with fewer epochs."""

import html
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.data import load
from keras_dl_export import load_artifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    environment = {**os.environ, "TFDS_DATA_DIR": str(folder / "nothing-here"), "COLUMNS": "80"}
    result = subprocess.run(
        [sys.executable, "-c", "from keras_dl.cli import main; main()", "quickstart", "--epochs", "4"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (folder / "output.txt").write_text(result.stdout)
    return folder


def test_the_terminal_shows_parity_answers_and_latency(folder):
    output = (folder / "output.txt").read_text()
    for text in (
        "test_accuracy",
        "max error",
        "class over REST",
        "class over gRPC",
        "p95 ms",
        "report.html",
    ):
        assert text in output


def test_plain_tensorflow_loads_the_release(folder):
    images, labels = next(load("digits", "test", batch_size=359).as_numpy_iterator())
    loaded = tf.saved_model.load(str(folder / "releases" / "digits-cnn" / "1"))
    answer = loaded.signatures["serving_default"](image=tf.constant(images))
    assert set(answer) == {"logits", "probabilities", "class"}
    (run,) = (folder / "runs").glob("cnn-digits-*")
    accuracy = json.loads((run / "metrics.json").read_text())["figures"]["test_accuracy"]
    assert np.mean(answer["class"].numpy() == labels) == pytest.approx(accuracy, abs=1e-6)
    for path in ("model.tflite", "onnx/serving_default.onnx"):
        other = load_artifact(folder / "releases" / "digits-cnn" / "1" / path)({"image": images[:5]})
        np.testing.assert_allclose(other["logits"], answer["logits"].numpy()[:5], rtol=1e-4, atol=1e-4)


def test_the_report_shows_both_models(folder):
    (report,) = (folder / "runs").glob("quickstart-digits-*/report.html")
    page = report.read_text()
    for text in (
        "Confusion matrix",
        "Reconstructions",
        "Samples",
        "Parity",
        "Latency",
        "TFLite",
        "SavedModel",
    ):
        assert text in page
    assert page.count('src="data:image/png;base64,') >= 6


def test_the_code_of_the_report_runs_unchanged(folder, tmp_path):
    (report,) = (folder / "runs").glob("quickstart-digits-*/report.html")
    (code,) = re.findall(r"<pre>(.*?)</pre>", report.read_text(), re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", html.unescape(code)], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "(8, 8, 8, 1)"
