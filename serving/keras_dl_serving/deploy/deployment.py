"""The files of a deployment: templates and their values."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_dl_serving.deploy.folder import write_folder
from keras_dl_serving.deploy.served import Served, read_releases

IMAGE = "tensorflow/serving:2.20.0"
GRPC_PORT, REST_PORT = 8500, 8501
METRICS_PATH = "/monitoring/prometheus/metrics"
_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".j2"  # of templates; every other file is copied
_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]*", re.ASCII)


def write_deployment(
    releases: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    image: str = IMAGE,
    replicas: int = 2,
) -> list[Served]:
    """Write the files that serve `releases` with TensorFlow Serving.

    Args:
        releases: a folder of <name>/<version>/.
        out: the folder to write; new, or one written before and unchanged since.
        image: the container image of TensorFlow Serving.
        replicas: servers without load; the autoscalers add up to twice as many.

    Returns:
        The models that are served.

    Raises:
        ReleaseError: there is no release, or an incomplete one.
        ValueError: a name that Kubernetes refuses, or an invalid image or number of replicas.
        FileExistsError: `out` holds something else.
    """
    folder, target = Path(releases), Path(out)
    served = read_releases(folder)
    source = os.path.relpath(folder.resolve(), target.resolve())
    write_folder(target, render(served, Path(source).as_posix(), image=image, replicas=replicas))
    return served


def render(
    served: Sequence[Served], releases: str, *, image: str = IMAGE, replicas: int = 2
) -> dict[str, str]:
    """Return the files of a deployment by relative path.

    Args:
        served: the models.
        releases: the folder of the releases, relative to that of the deployment.
        image: the container image.
        replicas: servers without load.
    """
    check_image(image)
    if replicas < 1:
        raise ValueError(f"replicas: expected a whole number of at least 1, got {replicas}.")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # not HTML: nothing is escaped but by `quoted`
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    batching = all(model.joinable for model in served)
    names: dict[str, Any] = {
        "models": served,
        "releases": releases,
        "image": image,
        "replicas": replicas,
        "batching": batching,
        "config_files": _config_files(batching),
        "flags": _flags(batching),
        "grpc_port": GRPC_PORT,
        "rest_port": REST_PORT,
        "metrics_path": METRICS_PATH,
    }
    files = {}
    for path in sorted(path for path in _TEMPLATES.rglob("*") if path.is_file()):
        name = path.relative_to(_TEMPLATES).as_posix()
        if name == "batching.config" and not batching:
            continue  # the server refuses to start with the file but without the flag
        filled = name.endswith(_SUFFIX)
        text = environment.get_template(name).render(names) if filled else path.read_text(encoding="utf-8")
        files[name.removesuffix(_SUFFIX)] = text
    return files


def check_image(image: str) -> None:
    """Check that a text can name a container image.

    Raises:
        ValueError: it cannot.
    """
    if not _IMAGE.fullmatch(image):
        raise ValueError(f"image: expected a container image such as {IMAGE}, got {image!r}.")


def _config_files(batching: bool) -> list[str]:
    return ["models.config", "monitoring.config", *(["batching.config"] if batching else [])]


def _flags(batching: bool) -> list[str]:
    joined = ["--enable_batching=true", "--batching_parameters_file=/config/batching.config"]
    return [
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT}",
        "--model_config_file=/config/models.config",
        "--monitoring_config_file=/config/monitoring.config",
        "--file_system_poll_wait_seconds=10",
        *(joined if batching else []),
    ]


def _quoted(text: str) -> str:
    """Return a string of JSON, which is also valid in YAML and in text protos."""
    return json.dumps(text, ensure_ascii=False)
