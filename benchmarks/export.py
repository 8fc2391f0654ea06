"""Exports side by side: files written by keras_dl and by other exporters, in the same runtimes.

    python benchmarks/export.py [--quick] [--only NAME ...] [--out FILE.json]

Prints, for each workload and peer, the medians, their ratio (below 1: keras_dl is faster, or smaller) with
its quartiles over the rounds, and the upper bound of the ratio, if there is one.

Recurrent layers have 28 steps of 28 features, 64 units and a batch of one, and run on one thread. `int8`
needs MNIST. `mobilenet` exports in separate processes and measures them. `--quick` gives orders of magnitude.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import export_peers
import keras
import mobilenet
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from side_by_side import QUICK, Comparison, Effort, Peer, Work, command_line, environment, run

from keras_dl.data import load
from keras_dl.export import load_artifact, to_onnx, to_tflite
from keras_dl.models import CNN, SequenceClassifier
from keras_dl_export.quiet import silence

TIME, FEATURES, UNITS = 28, 28, 64
LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}
PACKAGES = ("keras-dl", "keras", "tensorflow", "ai-edge-litert", "onnxruntime", "onnx", "tf2onnx", "numpy")


@dataclass(frozen=True)
class Options:
    """The options of a workload.

    Attributes:
        quick: small sizes, few rounds.
        folder: where files are written.
    """

    quick: bool
    folder: Path


# Recurrent layers: the time of one call.


def onnx_recurrent(options: Options) -> Iterator[Comparison]:
    """Compare a native node with Keras's export and, for the GRU, with a handwritten graph."""
    bounds = {"gru": 1 / 5, "rnn": 1 / 2, "lstm": 1.05}
    for cell, bound in bounds.items():
        model, folder = _recurrent(cell), options.folder
        with silence():
            to_onnx(model, folder / "ours.onnx")
            export_peers.keras_onnx(model, folder / "keras.onnx")
        peers = {"Keras's export": Peer(_onnx_call(model, folder / "keras.onnx"), bound)}
        if cell == "gru":
            export_peers.native_gru(model.layers[-1], TIME, FEATURES, folder / "hand.onnx")
            peers["handwritten native node"] = Peer(_onnx_call(model, folder / "hand.onnx"), at_most=1.15)
        yield Comparison(f"onnx {cell}", _onnx_call(model, folder / "ours.onnx"), peers)


def tflite_recurrent(options: Options) -> Iterator[Comparison]:
    """Compare a layer with a dynamic batch with the loop that Keras traces."""
    bounds = {"lstm": 0.75, "gru": 0.6, "rnn": 0.2}
    for cell, bound in bounds.items():
        model, ours = _recurrent(cell), options.folder / "ours.tflite"
        with silence():
            to_tflite(model, ours)
        yield Comparison(f"tflite {cell}", _tflite_call(model, ours), _loops(model, options.folder, bound))


def tflite_fused(options: Options) -> Iterator[Comparison]:
    """Compare the fused LSTM, its state reset before each call, with the same loops.

    XNNPACK, which the interpreter uses where possible, does not support the fused operator: it makes only the
    loop faster. Without it both run the interpreter's own kernels.
    """
    model, ours = _recurrent("lstm"), options.folder / "fused.tflite"
    with silence():
        to_tflite(model, ours, lstm="fused")
    for name, xnnpack in (("tflite fused lstm", True), ("tflite fused lstm, no XNNPACK", False)):
        call = _tflite_call(model, ours, xnnpack=xnnpack, reset=True)
        yield Comparison(name, call, _loops(model, options.folder, 0.55, xnnpack=xnnpack))


def _loops(model: Any, folder: Path, bound: float, *, xnnpack: bool = True) -> dict[str, Peer]:
    """Return Keras's loop with a dynamic batch, as in our files, and the loop with a fixed batch."""
    peers = {}
    for name, batch, at_most in (("Keras's loop", None, bound), ("Keras's loop, fixed batch", 1, None)):
        path = folder / "loop.tflite"
        with silence():
            export_peers.keras_loop(model, path, batch)
        peers[name] = Peer(_tflite_call(model, path, xnnpack=xnnpack), at_most)
    return peers


def _recurrent(cell: str) -> Any:
    keras.utils.set_random_seed(0)
    x = keras.Input((TIME, FEATURES), name="x")
    return keras.Model(x, LAYERS[cell](UNITS)(x))


def _onnx_call(model: Any, path: Path) -> Work:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: _sequence()}
    _check_answer(model, path, session.run(None, inputs)[0])
    return lambda: session.run(None, inputs)


def _tflite_call(model: Any, path: Path, *, xnnpack: bool = True, reset: bool = False) -> Work:
    """Return `invoke` only: the input is already set."""
    resolver = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with silence():
        interpreter = Interpreter(
            model_content=path.read_bytes(), num_threads=1, experimental_op_resolver_type=resolver
        )
        given = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(given, (1, TIME, FEATURES))
        interpreter.allocate_tensors()
    interpreter.set_tensor(given, _sequence())

    def call() -> None:
        interpreter.reset_all_variables()
        interpreter.invoke()

    call()
    _check_answer(model, path, interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return call if reset else interpreter.invoke


def _sequence() -> Any:
    return np.random.default_rng(0).standard_normal((1, TIME, FEATURES), np.float32)


def _check_answer(model: Any, path: Path, answer: Any) -> None:
    """Check that the file returns the numbers of the Keras model, so that equal work is timed."""
    expected = np.asarray(model(_sequence()))
    if answer.shape != expected.shape or np.abs(answer - expected).max() > 1e-4:
        raise RuntimeError(f"{path.name}: expected the numbers of the Keras model, got different ones.")


# int8: file size and loss of accuracy.


def int8(options: Options) -> Iterator[Comparison]:
    """Compare calibrated files of a trained CNN and a trained row LSTM on the MNIST test images."""
    split = "test[:1000]" if options.quick else "test"
    images, labels = (np.concatenate(each) for each in zip(*_batches(split), strict=True))
    calibration = next(iter(_batches("train[:256]")))[0]
    models = {
        "cnn": (CNN.from_preset("cnn-mnist"), 0.3, 0.3),
        "lstm": (SequenceClassifier.from_preset("lstm-rows-mnist"), 0.5, None),
    }
    for name, (model, points, share) in models.items():
        for format, write in (("tflite", to_tflite), ("onnx", to_onnx)):
            whole = write(model, options.folder / f"whole.{format}", inputs=calibration[:8])
            small = write(
                model,
                options.folder / f"small.{format}",
                quantize="int8",
                representative_data=calibration,
            )
            accuracies = [_accuracy(each, images, labels) for each in (small, whole)]
            sizes = [each.bytes / 1e3 for each in (small, whole)]
            yield _figures(f"{format} int8 {name}, size", "KB", sizes, share)
            yield _figures(
                f"{format} int8 {name}, accuracy on {split}", "%", accuracies, points, by="difference"
            )


def _figures(name: str, unit: str, pair: Sequence[float], bound: float | None, **options: Any) -> Comparison:
    """Compare two figures that do not vary between rounds."""
    ours, peer = pair
    peers = {"float32": Peer(lambda: peer, bound)}
    return Comparison(name, lambda: ours, peers, unit=unit, rounds=1, **options)


def _batches(split: str) -> Iterator[tuple[Any, Any]]:
    return iter(load("mnist", split, batch_size=256, shuffle=False).as_numpy_iterator())


def _accuracy(artifact: Any, images: Any, labels: Any) -> float:
    """Return the accuracy in percent in the file's own runtime."""
    runner = load_artifact(artifact)
    chosen = [runner({"image": images[start : start + 250]})["class"] for start in range(0, len(images), 250)]
    return 100.0 * float(np.mean(np.concatenate(chosen) == labels))


# MobileNetV2: time and memory of an export.


def mobilenet_v2(options: Options) -> Iterator[Comparison]:
    """Compare files that are checked in their runtimes with files that are only written."""
    rounds = 1 if options.quick else 2
    for format in mobilenet.FORMATS:
        most: Mapping[str, list[float]] = {"ours": [], "bare": []}

        def seconds(side: str, format: str = format, most: Mapping[str, list[float]] = most) -> float:
            cost = mobilenet.measure(side, format)
            most[side].append(cost.megabytes)
            return cost.seconds

        yield Comparison(
            f"mobilenetv2 {format}, time",
            lambda seconds=seconds: seconds("ours"),
            {"bare converters": Peer(lambda seconds=seconds: seconds("bare"), at_most=1.3)},
            unit="s",
            rounds=rounds,
        )
        yield Comparison(
            f"mobilenetv2 {format}, peak memory",
            iter(most["ours"]).__next__,
            {"bare converters": Peer(iter(most["bare"]).__next__, at_most=1.15)},
            unit="MB",
            rounds=rounds,
        )


WORKLOADS: dict[str, Callable[[Options], Iterator[Comparison]]] = {
    "onnx": onnx_recurrent,
    "tflite": tflite_recurrent,
    "fused": tflite_fused,
    "int8": int8,
    "mobilenet": mobilenet_v2,
}


def _comparisons(names: Iterable[str], options: Options) -> Iterator[Comparison]:
    for name in names:
        yield from WORKLOADS[name](options)
        keras.backend.clear_session()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = command_line("Exported files of keras_dl against those of other exporters.", WORKLOADS)
    asked = parser.parse_args(arguments)
    tf.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        comparisons = _comparisons(asked.only or WORKLOADS, Options(asked.quick, Path(folder)))
        run(comparisons, QUICK if asked.quick else Effort(), environment(1, PACKAGES), asked.out)


if __name__ == "__main__":
    main()
