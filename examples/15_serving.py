"""Serving: a release behind the TensorFlow Serving API, queried over REST and gRPC.

    python examples/15_serving.py [--quick] [--out FILE]

About 15 seconds. Expected: both transports return the model's own predictions, nearly all of them correct.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from chapter import chapter

from keras_dl.data import load
from keras_dl.export import export
from keras_dl.models import CNN
from keras_dl.reports.style import COLORS, style
from keras_dl.reports.theory_figures import plot_images
from keras_dl.serving import Client, Server


def main():
    page = chapter(10, 3.8)
    first, second = page.axes(2)
    images, labels = next(load("digits", "test", batch_size=32).as_numpy_iterator())
    model = CNN.from_preset("cnn-digits")
    calls = 20 if page.quick else 200
    answers, times = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        release = export(model, Path(folder) / "digits", formats=("saved_model",), inputs={"image": images})
        with Server(folder, rest_port=0, grpc_port=0) as server:
            for name, url in (("REST", server.rest_url), ("gRPC", server.grpc_url)):
                with Client(url) as client:
                    answers[name] = client.predict(release.name, {"image": images})["class"]
                    times[name] = [timed(client, release.name, images[:1]) for _ in range(calls)]
    own = np.asarray(model.predict(images, verbose=0)).argmax(-1)
    for name, each in answers.items():
        assert (each == own).all()
        print(
            f"{name}: {(each == labels).sum()} of 32 correct, {1e3 * np.median(times[name]):.1f} ms per call"
        )
    plot_images(first, images, columns=8, title="images and predictions over gRPC")
    for index, answer in enumerate(answers["gRPC"]):
        row, column = divmod(index, 8)
        color = "#4ade80" if answer == labels[index] else "#f87171"
        first.text(9 * column + 0.1, 9 * row + 1.9, str(answer), color=color, fontsize=9, weight="bold")
    for (name, each), color in zip(times.items(), COLORS, strict=False):
        share = np.arange(1, calls + 1) / calls
        second.plot(1e3 * np.sort(each), share, color=color, label=name)
    second.legend(frameon=False, fontsize=8)
    style(second, xlabel="milliseconds", ylabel="share of calls", title="one image per call")
    second.set_xlim(left=0)
    page.save()


def timed(client, name, image):
    start = time.perf_counter()
    client.predict(name, {"image": image})
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
