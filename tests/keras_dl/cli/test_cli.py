"""The command line in processes of its own, with errors of one paragraph."""

import json
import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from keras_dl import cli


@pytest.fixture
def run(tmp_path):
    """Return a function that runs `keras-dl ...` in an empty folder."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-c", "from keras_dl.cli import main; main()", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", **environment},
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


def paragraph(result):
    """Return the text of the error in one line."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    text = re.sub(r"\s+", " ", result.stderr)
    assert text.count("error:") == 1
    return text


def test_help_needs_no_tensorflow(run):
    result = run("--help", KERAS_BACKEND="jax")
    assert result.returncode == 0
    for command in (
        "quickstart",
        "train",
        "recipes",
        "deploy",
        "export",
        "verify",
        "benchmark",
        "serve",
        "query",
        "models",
    ):
        assert command in result.stdout


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("train", "cnn-digitz"), ("recipe", "cnn-digitz", "cnn-digits")),
        (
            ("train", "cnn-digits", "--set", "latent_dim"),
            ("--set", "NAME=VALUE", "latent_dim=8", "'latent_dim'"),
        ),
        (("train", "cnn-digits", "--set", "latent_dim=8"), ("settings", "latent_dim", "filters")),
        (("train", "cnn-digits", "--data", "nothing-of-that-name"), ("nothing-of-that-name", "digits")),
        (("evaluate", "absent"), ("folder", "absent", "recipe.json")),
        (("export", "absent.keras"), ("absent.keras",)),
        (("export", "absent.keras", "--quantize", "=int8"), ("--quantize", "FORMAT=KIND", "'=int8'")),
        (("export", "x.keras", "--quantize", "onnx=int8,onnx=float16"), ("--quantize", "two for onnx")),
        (("verify", "absent"), ("absent", "release")),
        (("verify", "absent", "--html", "gone/x.html"), ("--html", "gone/x.html", "Create the folder")),
        (("serve", "absent"), ("absent", "export a model into it first")),
        (("query", "http://localhost:1", "digits"), ("cannot be reached",)),
        (("query", "ftp://localhost", "digits"), ("ftp://localhost", "grpc://")),
    ],
)
def test_errors_are_one_paragraph(arguments, texts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras-dl", *arguments])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 1
    text = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "Traceback" not in text
    assert text.count("error:") == 1
    for expected in texts:
        assert expected in text
    assert list(tmp_path.iterdir()) == [], "nothing half-written stays"


def test_another_backend_is_refused_in_one_paragraph(run):
    text = paragraph(run("train", "cnn-digits", KERAS_BACKEND="jax"))
    assert "expected 'tensorflow', got 'jax'" in text
    assert "KERAS_BACKEND" in text


def test_the_switch_for_deterministic_kernels_reaches_the_training(monkeypatch):
    given = {}

    def train(recipe, **options):
        given.update(options, recipe=recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_dl.training.train", train)
    for arguments, expected in (([], False), (["--deterministic"], True)):
        CliRunner().invoke(cli.app, ["train", "cnn-digits", "--seed", "3", *arguments])
        assert (given["recipe"], given["seed"], given["deterministic"]) == ("cnn-digits", 3, expected)


def test_recipes_are_listed():
    result = CliRunner().invoke(cli.app, ["recipes"], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    assert "cnn-digits" in result.stdout
    assert "vae-mnist" in result.stdout


@pytest.mark.slow
def test_train_evaluate_sample_export_verify_benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "100"})
        if result.exception:
            raise result.exception
        return result.stdout

    invoke("train", "vae-digits", "--epochs", "1", "--set", "latent_dim=3", "--out", "run")
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())["figures"]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["settings"]["latent_dim"] == 3
    assert "vae-digits" in (tmp_path / "run" / "report.html").read_text()
    assert f"{figures['test_elbo']:,.4g}" in invoke("evaluate", "run")
    assert "drawn-7.png" in invoke("sample", "run", "--count", "4", "--seed", "7")
    assert (tmp_path / "run" / "samples" / "drawn-7.png").read_bytes().startswith(b"\x89PNG")

    invoke("export", "run", "--out", "releases/small", "--to", "onnx")
    release = tmp_path / "releases" / "small" / "1"
    assert sorted(path.name for path in (release / "onnx").iterdir()) == [
        "decode.onnx",
        "encode.onnx",
        "sample.onnx",
        "serving_default.onnx",
    ]
    shown = invoke("verify", "releases/small", "--html", "page.html")
    assert "ok" in shown
    page, manifest = (tmp_path / "page.html").read_text(), json.loads((release / "release.json").read_text())
    for path, entry in manifest["files"].items():
        assert f"<td>{path}</td>" in page
        assert entry["sha256"] in page
        assert entry["sha256"][:16] in shown
    for endpoint, entry in manifest["endpoints"].items():
        assert endpoint in shown
        assert f"{entry['flops']['total']:,}" in page
        assert f"{entry['flops']['total']:,}" in shown
    for text in ("p95", "opset 18", manifest["latency"]["machine"]):
        assert text in page
    assert "p95" in re.sub(r"\s+", " ", shown)
    assert "Tried on samples that are uniform, large, zeros" in re.sub(r"\s+", " ", shown)
    with pytest.raises(ValueError, match="which is never changed. Pass a path outside"):
        invoke("verify", "releases/small", "--html", str(release / "page.html"))
    table = invoke("benchmark", "releases/small", "--calls", "3")
    assert "ONNX" in table
    assert "SavedModel" in table
    (release / "onnx" / "decode.onnx").write_bytes(b"altered")
    with pytest.raises(Exception, match=r"onnx/decode\.onnx has changed"):
        invoke("verify", "releases/small")


def test_a_file_is_verified_against_its_model(tmp_path, monkeypatch):
    import keras

    from keras_dl.export import to_onnx

    monkeypatch.chdir(tmp_path)
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(2)(x))
    model.save("m.keras")
    to_onnx(model, "m.onnx")
    shown = CliRunner().invoke(cli.app, ["verify", "m.onnx", "--model", "m.keras"], env={"COLUMNS": "100"})
    assert not shown.exception
    for text in ("uniform", "large, zeros", "ok", "m.onnx agrees with the model"):
        assert text in shown.stdout
    with pytest.raises(ValueError, match="--model: expected the Keras model"):
        raise CliRunner().invoke(cli.app, ["verify", "m.onnx"]).exception
    model.set_weights([weight + 1e-3 for weight in model.get_weights()])
    model.save("other.keras")
    arguments = ["verify", "m.onnx", "--model", "other.keras"]
    with pytest.raises(Exception, match=r"m\.onnx: endpoint 'serving_default', output 'output'"):
        raise CliRunner().invoke(cli.app, arguments).exception
    assert not CliRunner().invoke(cli.app, [*arguments, "--tolerance", "0.01"]).exception


@pytest.mark.slow
def test_a_format_that_cannot_express_a_model_is_reported(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    x = keras.Input((None, 3), name="x")
    keras.Model(x, keras.layers.GRU(2, activation="gelu", name="odd")(x)).save("odd.keras")
    for arguments in (("export", "odd.keras", "--to", "onnx"), ("verify", "releases/odd")):
        result = CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "100"})
        assert not result.exception
        assert "ONNX: odd: it is a loop, which is slower, because ONNX's GRU does not" in result.stdout
