"""Small models of every format that a server loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = np.array([[1.0, -2.0], [0.5, 4.0], [-1.0, 0.25]], np.float32)
ECHO_DTYPES = (
    *("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "uint16", "int32", "uint32"),
    *("int64", "uint64", "bool", "string", "complex64", "complex128"),
)


def save_linear(folder: Path, *, scale: float = 1.0, note: str = "") -> None:
    """`x (batch, 3) float32 -> y = scale * x @ WEIGHTS, total = sum of x in each row`."""
    import tensorflow as tf

    class Linear(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(scale * WEIGHTS)

        @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
        def __call__(self, x: Any) -> dict[str, Any]:
            return {"y": x @ self.weights, "total": tf.reduce_sum(x, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
        def mean(self, x: Any) -> dict[str, Any]:
            return {"mean": tf.reduce_mean(x)}

    module = Linear()
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.__call__, "mean": module.mean}
    )


def save_half_plus_two(folder: Path) -> None:
    """`y = x / 2 + 2` of any shape, as TensorFlow 1 saved it: reference variables, no object graph."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), tf1.Session(graph=graph) as session:
        half = tf1.get_variable("half", initializer=0.5, use_resource=False)
        two = tf1.get_variable("two", initializer=2.0, use_resource=False)
        x = tf1.placeholder(tf.float32, name="x")
        y = tf.add(tf.multiply(half, x), two, name="y")
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(folder))
        signature = tf1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session, [tf.saved_model.SERVING], signature_def_map={"serving_default": signature}
        )
        builder.save()


def save_two_inputs(folder: Path) -> None:
    """`image (batch, 2, 2), label (batch) -> sum, label_bytes`, and `pick` with outputs of unequal batch."""
    import tensorflow as tf

    class TwoInputs(tf.Module):  # type: ignore[misc]
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 2, 2), tf.float32, name="image"),
                tf.TensorSpec((None,), tf.int32, name="label"),
            ]
        )
        def __call__(self, image: Any, label: Any) -> dict[str, Any]:
            return {
                "sum": tf.reduce_sum(image, axis=(1, 2)) + tf.cast(label, tf.float32),
                "label_bytes": tf.strings.as_string(label),
            }

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 2, 2), tf.float32, name="image"),
                tf.TensorSpec((None,), tf.int32, name="label"),
            ]
        )
        def pick(self, image: Any, label: Any) -> dict[str, Any]:
            return {"image": image[label[0]], "label": label}

    module = TwoInputs()
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.__call__, "pick": module.pick}
    )


def save_echo(folder: Path) -> None:
    """One signature for each dtype that gives back what it gets."""
    import tensorflow as tf

    module = tf.Module()

    def echo(dtype: str) -> Any:
        spec = tf.TensorSpec(None, tf.as_dtype(dtype), name="x")
        return tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[spec])

    module.functions = {dtype: echo(dtype) for dtype in ECHO_DTYPES}
    tf.saved_model.save(module, str(folder), signatures=dict(module.functions))


def save_with_default(folder: Path) -> None:
    """`x (batch), scale () = 2 -> y = scale * x`: an input that may be left out."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    class Scaled(tf.Module):  # type: ignore[misc]
        @tf.function(
            input_signature=[
                tf.TensorSpec((None,), tf.float32, name="x"),
                tf.TensorSpec((), tf.float32, name="scale"),
            ]
        )
        def __call__(self, x: Any, scale: Any) -> dict[str, Any]:
            return {"y": scale * x}

    module = Scaled()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    signature.defaults["scale"].CopyFrom(tf.make_tensor_proto(2.0))
    file.write_bytes(saved.SerializeToString())


def save_examples(folder: Path) -> None:
    """Examples with a feature `x`: `classify` gives a: x, b: -x; `regress` gives x / 2 + 2."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), tf1.Session(graph=graph) as session:
        inputs = tf1.placeholder(tf.string, [None], name="inputs")
        parsed = tf1.parse_example(inputs, {"x": tf1.FixedLenFeature([1], tf.float32, default_value=[0.0])})
        x = parsed["x"]
        classes = tf.tile(tf.constant([["a", "b"]]), [tf.shape(x)[0], 1])
        scores = tf.concat([x, -x], axis=1)
        values = x / 2.0 + 2.0
        info = tf1.saved_model.build_tensor_info
        signature = tf1.saved_model.build_signature_def

        def define(method: str, **outputs: Any) -> Any:
            infos = {name: info(tensor) for name, tensor in outputs.items()}
            return signature({"inputs": info(inputs)}, infos, f"tensorflow/serving/{method}")

        signatures = {
            "serving_default": define("regress", outputs=values),
            "classify": define("classify", classes=classes, scores=scores),
            "scores": define("classify", scores=scores),
        }
        builder = tf1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signature_def_map=signatures)
        builder.save()


def save_scale(folder: Path, scale: float) -> None:
    """`x (batch) -> y = scale * x` in ONNX: loads in a moment, without TensorFlow."""
    import onnx
    from onnx import TensorProto, helper

    vector = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in "xy"]
    factor = helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])
    node = helper.make_node("Mul", ["x", "scale"], ["y"])
    graph = helper.make_graph([node], "scale", vector[:1], vector[1:], [factor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    staged = folder.with_name(f"staged-{folder.name}")
    staged.mkdir(parents=True)
    onnx.save(model, str(staged / "model.onnx"))
    staged.rename(folder)


def save_tflite(file: Path, saved_model: Path) -> None:
    """`linear` again."""
    import tensorflow as tf

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved_model)).convert())
