"""Export: one model in three formats, each in its own runtime; file size, error and latency.

    python examples/14_export.py [--quick] [--out FILE]

About 15 seconds. Expected: SavedModel, TFLite and ONNX agree with the Keras model to 1e-5.
"""

import tempfile
from pathlib import Path

from chapter import chapter

from keras_dl.data import load
from keras_dl.export import load_artifact, measure_latency, to_onnx, to_saved_model, to_tflite
from keras_dl.models import CNN
from keras_dl.reports.style import COLORS, style


def main():
    page = chapter(11, 3.4)
    images, _ = next(load("digits", "test", batch_size=8).as_numpy_iterator())
    model = CNN.from_preset("cnn-digits")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        artifacts = {
            "SavedModel": to_saved_model(model, path / "saved_model"),
            "TFLite": to_tflite(model, path / "model.tflite"),
            "ONNX": to_onnx(model, path / "model.onnx"),
        }
        rows = {}
        for name, artifact in artifacts.items():
            latency = measure_latency(load_artifact(artifact.path), {"image": images[:1]})
            rows[name] = (artifact.bytes / 1000, artifact.max_abs_error, latency.p50_ms)
            print(
                f"{name}: {rows[name][0]:.0f} KB, error {rows[name][1]:.1e}, {rows[name][2]:.2f} ms per image"
            )
    titles = ("size in KB", "largest error against Keras", "milliseconds for one image")
    for column, (axes, title) in enumerate(zip(page.axes(3), titles, strict=True)):
        bars = axes.bar(list(rows), [row[column] for row in rows.values()], color=COLORS[:3], width=0.6)
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
        style(axes, title=title)
    page.save()


if __name__ == "__main__":
    main()
