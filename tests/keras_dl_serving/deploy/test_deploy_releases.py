"""From a folder of releases to their deployment: the files that are read, refused and kept."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keras_dl import cli
from keras_dl_export.errors import ReleaseError
from keras_dl_export.release import write_manifest
from keras_dl_serving.deploy import write_deployment
from keras_dl_serving.deploy.folder import write_folder
from keras_dl_serving.deploy.served import Served
from tests._support.manifests import read_yaml

IMAGE_SPEC = {"shape": ["batch", 28, 28, 1], "dtype": "float32"}
LOGITS = {"shape": ["batch", 10], "dtype": "float32"}
TOKENS = {"shape": ["batch", "tokens_time"], "dtype": "int32"}
SIMPLE = {"serving_default": {"inputs": {"image": IMAGE_SPEC}, "outputs": {"logits": LOGITS}}}
SEQUENCES = {"serving_default": {"inputs": {"tokens": TOKENS}, "outputs": {"logits": LOGITS}}}


def save_release(folder: Path, endpoints: dict[str, Any] = SIMPLE) -> None:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    write_manifest(folder, {"endpoints": endpoints})


def test_a_deployment_of_releases(tmp_path: Path) -> None:
    save_release(tmp_path / "releases/digits/1")
    save_release(tmp_path / "releases/letters/1")
    save_release(tmp_path / "releases/letters/2", SEQUENCES)
    out = tmp_path / "to" / "deploy"
    result = CliRunner().invoke(
        cli.app, ["deploy", str(tmp_path / "releases"), "--out", str(out), "--image", "mine/serving:1"]
    )
    assert result.exit_code == 0, result.output
    assert "digits, letters" in result.output
    serving = read_yaml((out / "compose.yaml").read_text())[0]["services"]["serving"]
    assert (out / serving["volumes"][0]["source"]).resolve() == (tmp_path / "releases").resolve()
    assert serving["image"] == "mine/serving:1"
    assert not any("batching" in flag for flag in serving["command"]), (
        "letters' second version has a time axis"
    )
    assert "No batching: requests for letters have" in (out / "compose.yaml").read_text()
    assert (
        subprocess.run(["sha256sum", "--check", "--quiet", "deploy.sha256"], cwd=out, check=False).returncode
        == 0
    )
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["deploy"]


def test_commands_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_release(tmp_path / "releases/digits/1")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["deploy", "releases", "--out", "my $deploy"])
    commands = [shlex.split(line.partition(": ")[2]) for line in result.output.splitlines()[1:]]
    named = [word for command in commands for word in command if "deploy" in word]
    assert named == [
        f"my $deploy{file}" for file in ("/compose.yaml", "", "/kubernetes/releases.yaml", "/kserve")
    ]
    assert all((tmp_path / word).exists() for word in named)


@pytest.mark.parametrize(
    ("endpoint", "joinable"),
    [
        (SIMPLE["serving_default"], True),
        (SEQUENCES["serving_default"], False),
        ({"inputs": {"x": {"shape": [1, 3], "dtype": "float32"}}, "outputs": {"y": LOGITS}}, False),
        ({"inputs": {"image": IMAGE_SPEC}, "outputs": {"mean": {"shape": [], "dtype": "float32"}}}, False),
        ({"inputs": {"image": IMAGE_SPEC}, "outputs": {"y": {"shape": [10], "dtype": "float32"}}}, False),
        (
            {
                "inputs": {"x": LOGITS, "y": {"shape": ["y_batch", 3], "dtype": "float32"}},
                "outputs": {"z": LOGITS},
            },
            False,
        ),
        ({"inputs": {"x": {"shape": [], "dtype": "float32"}}, "outputs": {}}, False),
    ],
)
def test_requests_are_joined_where_it_changes_nothing(
    endpoint: dict[str, Any], joinable: bool, tmp_path: Path
) -> None:
    save_release(
        tmp_path / "releases/m/1", {"serving_default": endpoint, "simple": SIMPLE["serving_default"]}
    )
    assert write_deployment(tmp_path / "releases", tmp_path / "out") == [Served("m", joinable)]
    assert (tmp_path / "out/batching.config").exists() == joinable


def test_releases_that_cannot_be_deployed(tmp_path: Path) -> None:
    def refused(error: type[Exception], text: str, **settings: Any) -> None:
        with pytest.raises(error, match=re.escape(text)):
            write_deployment(tmp_path / "releases", tmp_path / "out", **settings)

    refused(ReleaseError, "releases: expected a folder of <name>/<version>/, but there is no folder")
    (tmp_path / "releases").mkdir()
    refused(ReleaseError, "holds no release")
    save_release(tmp_path / "releases/digits/1")
    refused(ValueError, "image: expected a container image such as tensorflow/serving:", image="-v x")
    refused(ValueError, "replicas: expected a whole number of at least 1, got 0.", replicas=0)
    for name in ("My_Digits", "1st", "digits-", "d" * 54):
        save_release(tmp_path / f"releases/{name}/1")
        refused(ValueError, f"got '{name}', which Kubernetes refuses. Rename the release's folder.")
        (tmp_path / f"releases/{name}").rename(tmp_path / name)
    (tmp_path / "releases/digits/2").mkdir()
    refused(ReleaseError, "the release is incomplete")
    (tmp_path / "releases/plain/1").mkdir(parents=True)
    (tmp_path / "releases/plain/1/saved_model.pb").write_bytes(b"graph")
    (tmp_path / "releases/digits/2").rename(tmp_path / "2")
    refused(
        ReleaseError, "release.json says what the model takes and gives, found a SavedModel alone. Publish"
    )
    (tmp_path / "releases/plain").rename(tmp_path / "plain")
    (tmp_path / "2").rename(tmp_path / "releases/digits/2")
    write_manifest(tmp_path / "releases/digits/2", {"endpoints": SIMPLE})
    refused(ReleaseError, "found no saved_model.pb. Export the model again with it.")
    assert not (tmp_path / "out").exists()


def test_an_unchanged_folder_is_rewritten_and_a_changed_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_release(tmp_path / "releases/digits/1")
    out = tmp_path / "out"
    write = partial(write_deployment, tmp_path / "releases", out)
    out.mkdir()
    monkeypatch.chdir(out)
    write_deployment("../releases", ".")
    monkeypatch.chdir(tmp_path)
    write(image="mine:2")
    assert '"mine:2"' in (out / "compose.yaml").read_text()

    def refused(name: str) -> None:
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        with pytest.raises(FileExistsError, match=f"with {name}. Pass another --out"):
            write()
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    (out / "notes.txt").write_text("mine")
    refused("notes.txt")
    (out / "notes.txt").unlink()
    (out / "compose.yaml").write_text("services: {}")
    refused("compose.yaml")
    (out / "compose.yaml").unlink()
    refused("compose.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "releases"]


def test_a_failed_write_keeps_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", {"a": "1"})

    def failing(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def fails(path: Path, target: Path) -> Path:
            if path.name == ".draft-out":
                raise OSError("no space left")
            return move(path, target)

        return fails

    monkeypatch.setattr(Path, "rename", failing(Path.rename))
    monkeypatch.setattr(Path, "replace", failing(Path.replace))
    for folder in ("out", "new/out"):
        with pytest.raises(OSError, match="no space left"):
            write_folder(tmp_path / folder, {"a": "2"})
    assert (tmp_path / "out/a").read_text() == "1"
    assert list((tmp_path / "new").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out"]
