"""From the folder of a version to an engine. The module of a format is imported when a release needs it."""

from __future__ import annotations

from pathlib import Path

from keras_dl_serving.errors import NotFoundError
from keras_dl_serving.server.engines.engine import AUTOMATIC, Engine, Threads


def open_engine(
    version_folder: Path, platform: str = "", *, prefer_tflite: bool = False, threads: Threads = AUTOMATIC
) -> Engine:
    """Load the model in the folder of one version.

    Args:
        version_folder: the folder.
        platform: `tensorflow`, `onnx` or `tflite`; by default the format in the folder, a SavedModel first.
        prefer_tflite: for TensorFlow, load `model.tflite` if it exists.
        threads: the threads of its runs. All SavedModels of a process share the threads of the first.

    Raises:
        StatusError: it cannot be loaded; the message is the runtime's.
    """
    onnx_files = sorted([*version_folder.glob("onnx/*.onnx"), *version_folder.glob("*.onnx")])
    tflite_file = version_folder / "model.tflite"
    saved_model = any((version_folder / f"saved_model.{end}").exists() for end in ("pb", "pbtxt"))
    if platform in ("", "tensorflow") and prefer_tflite and tflite_file.exists():
        platform = "tflite"
    elif not platform and not saved_model and onnx_files:
        platform = "onnx"
    elif not platform and not saved_model and tflite_file.exists():
        platform = "tflite"
    if platform == "onnx":
        if not onnx_files:
            raise NotFoundError(f"Could not find ONNX files (*.onnx, onnx/*.onnx) in {version_folder}")
        from keras_dl_serving.server.engines.onnx_engine import OnnxEngine

        return OnnxEngine(onnx_files, threads)
    if platform == "tflite":
        if not tflite_file.exists():
            raise NotFoundError(f"Could not find {tflite_file}")
        from keras_dl_serving.server.engines.tflite_engine import TFLiteEngine

        return TFLiteEngine(tflite_file, threads)
    from keras_dl_serving.server.engines.saved_model_engine import SavedModelEngine

    return SavedModelEngine(version_folder, threads)
