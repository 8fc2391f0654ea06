"""Commands that write deployments for TensorFlow Serving and training jobs for Kubernetes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from keras_dl.reports import console


def deploy(
    releases: Annotated[Path, typer.Argument(help="A folder of `<name>/<version>/`.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("deploy"),
    image: Annotated[
        str | None,
        typer.Option(help="Container image of TensorFlow Serving.", show_default="the official one"),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Smallest number of servers on Kubernetes.")] = 2,
) -> None:
    """Write Compose, Kubernetes and KServe files that serve releases with TensorFlow Serving."""
    from keras_dl_serving.deploy import IMAGE, write_deployment

    served = write_deployment(releases, out, image=IMAGE if image is None else image, replicas=replicas)
    console.out.print(f"wrote {out} for {', '.join(model.name for model in served)}", markup=False)
    folder, volume, compose, kserve = (
        shlex.quote(str(out / each)) for each in ("", "kubernetes/releases.yaml", "compose.yaml", "kserve")
    )
    for place, command in (
        ("one machine", f"docker compose -f {compose} up --wait"),
        ("Kubernetes", f"kubectl apply -k {folder}"),
        ("KServe", f"kubectl apply -f {volume} -f {kserve}"),
    ):
        console.out.print(f"{place}: {command}", markup=False, soft_wrap=True)


def training_job(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="The recipe to train.", show_default=False)],
    image: Annotated[str, typer.Option(help="Container image that contains keras-dl.", show_default=False)],
    workers: Annotated[int, typer.Option(min=2, help="Pods that train in sync.")] = 2,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the job and its run folder.", show_default="that of the recipe"),
    ] = None,
) -> None:
    """Print a Kubernetes TFJob that trains a recipe; arguments after `--` are passed to `keras-dl train`."""
    from keras_dl_serving.deploy import training_job as manifest

    text = manifest(recipe, image=image, workers=workers, name=name, arguments=context.args)
    console.out.out(text, end="", highlight=False)
