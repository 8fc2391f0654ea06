"""The manifest of a training, checked by its schema and by running its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keras_dl import cli
from keras_dl_serving.deploy import training_job
from tests._support.manifests import faults, read_yaml

SCHEMA = json.loads((Path(__file__).parent / "deploy_schemas" / "kubernetes.json").read_text())
IMAGE = "registry.example.org/keras-dl:1"


def documents(text: str) -> dict[str, Any]:
    return {f"{each['kind']} {each['metadata']['name']}": each for each in read_yaml(text)}


def container(job: Any) -> Any:
    (found,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    return found


def test_objects_follow_their_schemas() -> None:
    found = documents(training_job("vae-mnist", image=IMAGE, workers=4))
    assert set(found) == {"TFJob vae-mnist", "PersistentVolumeClaim runs", "PersistentVolumeClaim data"}
    for name, each in found.items():
        assert list(faults(each, {"$ref": f"#/$defs/{each['kind']}"}, SCHEMA)) == [], name


def test_the_reader_agrees_with_pyyaml() -> None:
    reference = pytest.importorskip("yaml", reason="needs PyYAML")
    text = training_job("vae-mnist", image=IMAGE, arguments=["--set", "units=8: #,9"])
    assert read_yaml(text) == list(reference.safe_load_all(text))


def test_the_parts_of_the_manifest_match() -> None:
    found = documents(training_job("vae-mnist", image=IMAGE, workers=4, name="first"))
    worker = found["TFJob first"]["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 4
    assert worker["restartPolicy"] == "OnFailure"
    pod = worker["template"]["spec"]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]  # may write its volumes
    volumes = {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"]}
    mounts = {each["name"]: each["mountPath"] for each in container(found["TFJob first"])["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert {f"PersistentVolumeClaim {claim}" for claim in volumes.values()} <= found.keys()
    (environment,) = container(found["TFJob first"])["env"]
    assert environment == {"name": "TFDS_DATA_DIR", "value": mounts["data"]}
    spread = pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    assert spread.items() <= worker["template"]["metadata"]["labels"].items()
    # What the operator of Kubeflow looks for, by its documentation.
    assert container(found["TFJob first"])["name"] == "tensorflow"
    assert container(found["TFJob first"])["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]


def test_the_command_is_one_of_keras_dl(monkeypatch: pytest.MonkeyPatch) -> None:
    text = training_job("vae-mnist", image=IMAGE, arguments=["--epochs", "3", "--set", "latent_dim=8"])
    program, *arguments = container(documents(text)["TFJob vae-mnist"])["command"]
    assert program == "keras-dl"
    from keras_dl import training

    asked: dict[str, Any] = {}

    def train(recipe: str, **options: Any) -> Any:
        asked.update(options, recipe=recipe)
        raise SystemExit(0)

    monkeypatch.setattr(training, "train", train)
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    given = {name: value for name, value in asked.items() if value}
    assert given == {
        "recipe": "vae-mnist",
        "epochs": 3,
        "settings": {"latent_dim": "8"},
        "out": Path("/runs/vae-mnist"),
        "resume": True,
        "strategy": "multi-worker",
    }


def test_the_command_line_prints_it() -> None:
    arguments = ["training-job", "vae-mnist", "--image", IMAGE, "--workers", "3", "--", "--epochs", "3"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output == training_job("vae-mnist", image=IMAGE, workers=3, arguments=["--epochs", "3"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"recipe": "VAE"}, "name: expected a DNS label .*, got 'VAE', which Kubernetes refuses"),
        ({"name": "a" * 51}, "name: expected a DNS label"),
        ({"workers": 1}, "workers: expected 2 or more, which train in step, got 1"),
        ({"image": "no image"}, "image: expected a container image such as .*, got 'no image'"),
        ({"arguments": ["--out=x"]}, "arguments: expected others than '--out=x', which the job sets"),
    ],
)
def test_an_invalid_job_is_refused(options: dict[str, Any], error: str) -> None:
    asked = {"recipe": "vae-mnist", "image": IMAGE, **options}
    with pytest.raises(ValueError, match=error):
        training_job(asked.pop("recipe"), **asked)


def test_schema_finds_faults() -> None:
    job = documents(training_job("vae-mnist", image=IMAGE))["TFJob vae-mnist"]
    broken = json.loads(json.dumps(job).replace('"OnFailure"', '"Sometimes"'))
    (fault,) = faults(broken, {"$ref": "#/$defs/TFJob"}, SCHEMA)
    assert "restartPolicy" in fault
    assert "Sometimes" in fault
