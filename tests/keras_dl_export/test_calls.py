"""Subclassed models derive their inputs from the calls that were made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_dl_export import Spec, load_artifact, to_onnx, to_saved_model, to_tflite
from keras_dl_export.model_endpoints import endpoints_of

FLOATS = np.arange(12, dtype=np.float32).reshape(3, 4)
USERS = np.array([0, 2, 4])


class Towers(keras.Model):
    """The layers of all models in this file: a head for floats and a table for integers."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.head = layers.Dense(2)
        self.table = layers.Embedding(5, 2)


class LeftRight(Towers):
    def call(self, left: Any, right: Any) -> Any:
        return self.head(left) - self.table(right)


class Places(Towers):
    def call(self, *xs: Any) -> Any:
        return self.head(xs[0]) - self.table(xs[1])


class Named(Towers):
    def call(self, x: Any, **others: Any) -> Any:
        return self.head(x) - self.table(others["user"])


class Context(Towers):
    def call(self, inputs: Any, mask: Any = None, context: Any = None, training: bool = False) -> Any:
        known = self.head(inputs)
        known = known if mask is None else known * keras.ops.cast(mask, "float32")[:, None]
        return known if context is None else known - self.table(context)


class Structured(Towers):
    def call(self, inputs: Any) -> Any:
        return {"a": self.head(inputs["x"][0]), "b": [self.table(inputs["user"]), self.head(inputs["x"][1])]}


class Flagged(Towers):
    def call(self, x: Any, *, doubled: bool, scale: float = 1.0) -> Any:
        return self.head(x) * scale * (2.0 if doubled else 1.0)


MODELS: list[tuple[Callable[[], keras.Model], tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    (LeftRight, (FLOATS, USERS), {}, {"left": FLOATS, "right": USERS}),
    (LeftRight, (FLOATS,), {"right": USERS}, {"left": FLOATS, "right": USERS}),
    (Places, (FLOATS, USERS), {}, {"xs_0": FLOATS, "xs_1": USERS}),
    (Named, (FLOATS,), {"user": USERS}, {"x": FLOATS, "user": USERS}),
    (Context, (FLOATS,), {}, {"inputs": FLOATS}),
    (Context, (FLOATS,), {"context": USERS}, {"inputs": FLOATS, "context": USERS}),
    (Context, (FLOATS,), {"mask": USERS > 0}, {"inputs": FLOATS, "mask": USERS > 0}),
    (
        Structured,
        ({"x": (FLOATS, FLOATS + 1), "user": USERS},),
        {},
        {"x_0": FLOATS, "x_1": FLOATS + 1, "user": USERS},
    ),
    (Flagged, (FLOATS,), {"doubled": True, "scale": 3.0}, {"x": FLOATS}),
]


@pytest.mark.parametrize(("make", "arguments", "named", "inputs"), MODELS)
def test_a_called_model_needs_no_examples(
    make: Callable[[], keras.Model],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    inputs: dict[str, Any],
    tmp_path: Path,
) -> None:
    model = make()
    expected = keras.tree.flatten(model(*arguments, **named))
    endpoint = endpoints_of(model)["serving_default"]
    assert endpoint.inputs == {
        name: Spec(("batch", *array.shape[1:]), array.dtype.name) for name, array in inputs.items()
    }
    for write, file in ((to_saved_model, "saved"), (to_onnx, "m.onnx"), (to_tflite, "m.tflite")):
        write(model, tmp_path / file)
        runner = load_artifact(tmp_path / file)
        found = runner(inputs)
        for answer, name in zip(expected, sorted(found), strict=True):
            np.testing.assert_allclose(found[name], answer, rtol=1e-4, atol=1e-4)


def test_examples_take_precedence_over_the_call() -> None:
    model = Context()
    model(FLOATS, context=USERS)
    assert list(endpoints_of(model, {"inputs": FLOATS})["serving_default"].inputs) == ["inputs"]
    nested = Structured()
    nested({"x": (FLOATS, FLOATS), "user": USERS})
    examples = {"x_0": FLOATS, "x_1": FLOATS, "user": USERS.astype(np.int32)}
    assert endpoints_of(nested, examples)["serving_default"].inputs["user"].dtype == "int32"


def test_a_model_that_was_built_and_not_called_uses_the_shapes_that_keras_kept() -> None:
    model = Context()
    model.build((None, 4))
    assert endpoints_of(model)["serving_default"].inputs == {"inputs": Spec(("batch", 4), "float32")}


@keras.saving.register_keras_serializable("tests.calls")
class Saved(Towers):
    def call(self, x: Any) -> Any:
        return self.head(x)


def test_a_loaded_model_uses_the_shapes_that_keras_kept(tmp_path: Path) -> None:
    model = Saved()
    model(FLOATS)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert endpoints_of(loaded)["serving_default"].inputs == {"x": Spec(("batch", 4), "float32")}
