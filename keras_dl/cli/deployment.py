"""Put releases behind TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_dl import console


def deploy(
    releases: Annotated[Path, typer.Argument(help="A folder of `<name>/<version>/`.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("deploy"),
    image: Annotated[
        str | None,
        typer.Option(help="Container image of TensorFlow Serving.", show_default="the official one"),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Servers at rest, on Kubernetes.")] = 2,
) -> None:
    """Write Compose, Kubernetes and KServe files that serve releases with TensorFlow Serving."""
    from keras_dl_serving.deploy import IMAGE, write_deployment

    served = write_deployment(releases, out, image=IMAGE if image is None else image, replicas=replicas)
    console.out.print(f"wrote {out} for {', '.join(model.name for model in served)}", markup=False)
    for place, command in (
        ("one machine", f"docker compose -f {out}/compose.yaml up --wait"),
        ("Kubernetes", f"kubectl apply -k {out}"),
        ("KServe", f"kubectl apply -f {out}/kubernetes/releases.yaml -f {out}/kserve"),
    ):
        console.out.print(f"{place}: {command}", markup=False, soft_wrap=True)
