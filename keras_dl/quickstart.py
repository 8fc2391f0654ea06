"""The whole workflow: train two models, release them, serve them, query them, and write a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_dl.data import load
from keras_dl.export import export, load_artifact, measure_latency
from keras_dl.recipes import Recipe, get_recipe, list_recipes
from keras_dl.recipes.tasks import LATENT_IMAGES
from keras_dl.reports import console, figures
from keras_dl.reports.html import Picture, Section, Table, write_report
from keras_dl.reports.run import final_pictures
from keras_dl.reports.tables import FORMAT_NAMES, figures_table, format_figure, latency_table, parity_table
from keras_dl.serving import Client, Server
from keras_dl.training import Run, train

if TYPE_CHECKING:
    from keras_dl_export import Release
    from keras_dl_export.results import Latency

Images = NDArray[np.float32]

_ASKED = 8  # test images that are sent to the server
_EPOCHS = 3  # of each training, on data larger than the digits
_CODE = """\
import numpy as np

from keras_dl.data import load
from keras_dl.serving import Client, Server

images, labels = next(load({data!r}, "test", batch_size=8).as_numpy_iterator())
z = np.random.default_rng(0).standard_normal((8, {latent_dim}), np.float32)
with Server({releases!r}, rest_port=0, grpc_port=0) as server, Client(server.grpc_url) as client:
    print(client.predict({cnn!r}, {{"image": images}})["class"], labels)
    print(client.predict({vae!r}, {{"z": z}}, signature_name="sample")["image"].shape)"""


@dataclass(frozen=True)
class _Released:
    """A trained model and its release."""

    kind: str
    run: Run
    release: Release


def quickstart(
    data: str = "digits",
    *,
    runs: str | Path = "runs",
    releases: str | Path = "releases",
    epochs: int | None = None,
) -> Path:
    """Train, release, serve and query a classifier and a VAE; print the progress and write a report.

    Args:
        data: a source of images with labels for `keras_dl.data.load`; the default needs no network.
        runs: the parent folder of the run folders and of the report.
        releases: the parent folder of the releases `<data>-cnn` and `<data>-vae`.
        epochs: epochs of each training; by default those of the recipes for the digits, and 3 for other data.

    Returns:
        The path of the HTML report.

    Raises:
        ValueError, LookupError, ConnectionError: `data` cannot be loaded.
        ServerStartError: the server cannot start.
    """
    started = time.perf_counter()
    images, labels = next(load(data, "test", batch_size=_ASKED).as_numpy_iterator())
    cnn, vae = (_train_and_release(kind, data, images, runs, releases, epochs) for kind in ("cnn", "vae"))
    folder = Path(runs) / time.strftime(f"quickstart-{data}-%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)

    console.heading("Serve the releases, and query test images over REST and gRPC")
    with Server(releases, rest_port=0, grpc_port=0) as server:
        console.out.print(f"REST {server.rest_url}   gRPC {server.grpc_url}")
        with Client(server.rest_url) as rest, Client(server.grpc_url) as grpc:
            answers = _ask_classifier(cnn.release, images, labels, rest, grpc)
            console.show(answers)
            pictures = _ask_vae(vae, images, rest, grpc, folder)
            latencies = _latencies(cnn, images[:1], rest, grpc)
    timing = latency_table(latencies, f"{cnn.release.name}, one image at a time")
    console.show(timing)

    minutes = (time.perf_counter() - started) / 60
    report = _write_report(
        folder / "report.html", data, cnn, vae, answers, timing, pictures, Path(releases), minutes
    )
    console.out.print(
        f"\n[bold]Done in {60 * minutes:.0f} s.[/] Released {cnn.release.path} and {vae.release.path}"
    )
    console.out.print(f"Report: {report}")
    return report


def _train_and_release(
    kind: str, data: str, images: Images, runs: str | Path, releases: str | Path, epochs: int | None
) -> _Released:
    recipe = _recipe(kind, data)
    console.heading(f"Train {kind.upper()} on {data}")
    out = Path(runs) / time.strftime(f"{kind}-{data}-%Y%m%d-%H%M%S")
    run = train(recipe, data=data, epochs=epochs, out=out)
    console.show(figures_table(run.metrics))
    console.heading(f"Release {data}-{kind} as SavedModel, TFLite and ONNX")
    with console.progress("starting") as progress:
        release = export(
            run.model, Path(releases) / f"{data}-{kind}", inputs={"image": images}, progress=progress
        )
    console.show(parity_table(release.artifacts, f"{release.path}: each file against the Keras model"))
    return _Released(kind, run, release)


def _recipe(kind: str, data: str) -> Recipe:
    """Return the recipe for the data set, or else that for MNIST, which suits most image data better."""
    name = f"{kind}-{data}"
    recipe = get_recipe(name if name in list_recipes() else f"{kind}-mnist")
    if recipe.data == "digits":
        return recipe
    # Enough for a demonstration: the importance-sampled likelihood of the VAE recipe takes half an hour.
    task = LATENT_IMAGES if kind == "vae" else recipe.task
    return dataclasses.replace(recipe, task=task, goals=(), epochs=_EPOCHS)


def _ask_classifier(
    release: Release, images: Images, labels: NDArray[np.int32], rest: Client, grpc: Client
) -> Table:
    by_rest = rest.predict(release.name, {"image": images})
    by_grpc = grpc.predict(release.name, {"image": images})
    rows = [
        (
            str(index),
            str(truth),
            f"{by_rest['class'][index]} ({by_rest['probabilities'][index].max():.1%})",
            f"{by_grpc['class'][index]} ({by_grpc['probabilities'][index].max():.1%})",
            "yes" if truth == by_rest["class"][index] == by_grpc["class"][index] else "no",
        )
        for index, truth in enumerate(labels)
    ]
    columns = ("test image", "label", "class over REST", "class over gRPC", "correct")
    return Table(columns, rows, f"{release.name} version {release.version}")


def _ask_vae(vae: _Released, images: Images, rest: Client, grpc: Client, folder: Path) -> list[Picture]:
    """Draw reconstructions over REST and samples over gRPC."""
    name, latent_dim = vae.release.name, vae.run.model.latent_dim
    reconstructed = rest.predict(name, {"image": images})["image"]
    z = np.random.default_rng(0).standard_normal((64, latent_dim), np.float32)
    drawn = grpc.predict(name, {"z": z}, signature_name="sample")["image"]
    console.out.print(f"{name}: {len(images)} images reconstructed over REST, {len(drawn)} drawn over gRPC")
    figures.save(figures.reconstructions(images, reconstructed), folder / "reconstructions.png")
    figures.save(figures.image_grid(drawn), folder / "samples.png")
    return [
        Picture(folder / "reconstructions.png", "Test images and their reconstructions by the server (REST)"),
        Picture(folder / "samples.png", "64 draws from the prior, decoded by the server (gRPC)"),
    ]


def _latencies(released: _Released, images: Images, rest: Client, grpc: Client) -> dict[str, Latency]:
    """Return the latencies of all ways to run the same model on the same images."""
    model, name = released.run.model, released.release.name
    ways: dict[str, Callable[..., object]] = {"Keras, model(image)": lambda inputs: model(inputs["image"])}
    for artifact in released.release.artifacts:
        ways[f"{FORMAT_NAMES[artifact.format]} file"] = load_artifact(artifact.path)
    ways["server over REST"] = lambda inputs: rest.predict(name, inputs)
    ways["server over gRPC"] = lambda inputs: grpc.predict(name, inputs)
    return {way: measure_latency(call, {"image": images}) for way, call in ways.items()}


def _write_report(
    path: Path,
    data: str,
    cnn: _Released,
    vae: _Released,
    answers: Table,
    timing: Table,
    pictures: list[Picture],
    releases: Path,
    minutes: float,
) -> Path:
    worst = max(artifact.max_abs_error for each in (cnn, vae) for artifact in each.release.artifacts)
    return write_report(
        path,
        title=f"Quickstart on {data}",
        summary="Two models trained on real images, released in three formats, served and queried.",
        figures={
            "test accuracy of the CNN": f"{cnn.run.metrics['test_accuracy']:.1%}",
            "ELBO of the VAE, nats": format_figure(vae.run.metrics["test_elbo"]),
            "largest difference of a file": f"{worst:.0e}",
            "minutes from start to end": f"{minutes:.1f}",
        },
        sections=[
            Section(f"Predictions of the server for {data}", tables=[answers], pictures=pictures),
            Section(
                "The classifier",
                tables=[figures_table(cnn.run.metrics)],
                pictures=final_pictures(cnn.run.folder),
            ),
            Section(
                "The variational autoencoder",
                tables=[figures_table(vae.run.metrics)],
                pictures=final_pictures(vae.run.folder),
            ),
            Section(
                "Parity",
                "Before the release was published, every file ran each sample twice in its own runtime.",
                tables=[parity_table(each.release.artifacts, str(each.release.path)) for each in (cnn, vae)],
            ),
            Section("Latency", "On this machine, one request at a time.", tables=[timing]),
            Section("Query the models", code=_code(data, cnn, vae, releases)),
        ],
    )


def _code(data: str, cnn: _Released, vae: _Released, releases: Path) -> str:
    """Return Python code that queries the released models from any working directory."""
    return _CODE.format(
        data=data,
        latent_dim=vae.run.model.latent_dim,
        releases=str(releases.resolve()),
        cnn=cnn.release.name,
        vae=vae.release.name,
    )
