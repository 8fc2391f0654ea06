"""A Kubernetes manifest of a training on several workers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from keras_dl_serving.deploy.deployment import check_image

_TEMPLATES = Path(__file__).parent / "training"
# A pod is called `<name>-worker-<index>`: a DNS label, at most 63 characters in all.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?")


def training_job(
    recipe: str,
    *,
    image: str,
    workers: int = 2,
    name: str | None = None,
    arguments: Sequence[str] = (),
) -> str:
    """Return the TFJob that trains a recipe, and the volumes it needs, in YAML.

    Args:
        recipe: the recipe for `keras-dl train`.
        image: a container image with keras_dl in it.
        workers: pods that train in step.
        name: the name of the job and its run folder; the recipe's by default.
        arguments: further arguments of `keras-dl train`.

    Raises:
        ValueError: a name that Kubernetes refuses, too few workers, an invalid image, or an argument that the
            job sets itself.
    """
    name = recipe if name is None else name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name: expected a DNS label (a-z, 0-9 and -, a letter first, no - last, at most 50 characters), "
            f"got {name!r}, which Kubernetes refuses. Give the job another name."
        )
    if workers < 2:
        raise ValueError(
            f"workers: expected 2 or more, which train in step, got {workers}. A single one needs no TFJob: "
            "run `keras-dl train` in a pod."
        )
    check_image(image)
    for argument in arguments:
        if argument.split("=")[0] in ("--strategy", "--out", "--resume"):
            raise ValueError(f"arguments: expected others than {argument!r}, which the job sets. Omit it.")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["quoted"] = json.dumps
    fixed = ["--strategy", "multi-worker", "--out", f"/runs/{name}", "--resume"]
    command = ["keras-dl", "train", recipe, *arguments, *fixed]
    values = {"name": name, "image": image, "workers": workers, "command": command}
    return environment.get_template("tfjob.yaml.j2").render(values)
