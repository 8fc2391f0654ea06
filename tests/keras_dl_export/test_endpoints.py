"""The endpoints of a model, declared or derived."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_dl_export import Endpoint, Spec
from keras_dl_export.model_endpoints import endpoints_of


def _named(model: keras.Model, examples: Any = None) -> dict[str, Spec]:
    return dict(endpoints_of(model, examples)["serving_default"].inputs)


def test_declared_endpoints_are_used_unchanged(vae: keras.Model) -> None:
    assert endpoints_of(vae) == vae.endpoints()


def test_names_and_dtypes_come_from_the_inputs() -> None:
    number = keras.Input((4,), name="number")
    token = keras.Input((None,), dtype="int32", name="token")
    model = keras.Model(
        [number, token], [layers.Dense(2, name="left")(number), layers.Embedding(5, 2)(token)]
    )
    assert _named(model) == {
        "number": Spec(("batch", 4), "float32"),
        "token": Spec(("batch", "token_time"), "int32"),
    }


def test_dict_keys_take_precedence_over_input_names() -> None:
    first, second = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    model = keras.Model(
        {"first": first, "nested": {"second": second}}, {"sum": first + 1, "more": second + 1}
    )
    endpoint = endpoints_of(model)["serving_default"]
    assert set(endpoint.inputs) == {"first", "nested_second"}
    outputs = endpoint.function(first=np.zeros((1, 4)), nested_second=np.full((1, 2), 5.0))
    assert set(outputs) == {"sum", "more"}
    np.testing.assert_array_equal(outputs["more"], np.full((1, 2), 6.0))


def test_a_single_output_is_named_output_and_several_after_their_layers() -> None:
    x = keras.Input((4,), name="x")
    single = endpoints_of(keras.Model(x, layers.Dense(2, name="head")(x)))["serving_default"]
    assert set(single.function(x=np.zeros((1, 4)))) == {"output"}
    several = keras.Model(x, [layers.Dense(2, name="mean")(x), layers.Dense(2, name="spread")(x)])
    assert set(endpoints_of(several)["serving_default"].function(x=np.zeros((1, 4)))) == {"mean", "spread"}


def test_names_that_no_signature_may_hold_are_replaced() -> None:
    x = keras.Input((4,), name="my-x")
    assert set(_named(keras.Model(x, layers.Dense(2)(x)))) == {"my_x"}


def test_a_fixed_batch_stays_fixed() -> None:
    x = keras.Input(batch_shape=(2, 4), name="x")
    assert _named(keras.Model(x, x + 1)) == {"x": Spec((2, 4), "float32")}


class Ratings(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.users = layers.Embedding(10, 4)
        self.head = layers.Dense(2)

    def call(self, user: Any, features: Any = None, training: bool = False) -> Any:
        known = self.users(user)
        return self.head(known if features is None else known + features)


class Batch(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.users = layers.Embedding(10, 4)

    def call(self, inputs: Any) -> Any:
        return {"score": self.users(inputs["user"])[:, 0] + inputs["features"]}


def test_a_subclassed_model_derives_dtypes_and_arguments_from_the_examples() -> None:
    model = Ratings()
    examples = {"user": np.zeros(3, np.int32), "features": np.zeros((3, 4))}
    model(**examples)
    assert _named(model, examples) == {
        "user": Spec(("batch",), "int32"),
        "features": Spec(("batch", 4), "float32"),
    }
    assert _named(model, examples["user"]) == {"user": Spec(("batch",), "int32")}


def test_a_dict_argument_of_a_subclassed_model_is_split() -> None:
    model = Batch()
    examples = {"user": np.zeros((3, 1), np.int32), "features": np.ones((3, 4), np.float32)}
    model(examples)
    endpoint = endpoints_of(model, examples)["serving_default"]
    assert endpoint.inputs["user"] == Spec(("batch", 1), "int32")
    np.testing.assert_allclose(endpoint.function(**examples)["score"], model(examples)["score"])


class Weighted(keras.Model):
    """Omit an argument before another one, and pass one by name."""

    def call(self, x: Any, offset: Any = None, factor: Any = None, *, power: Any, flag: bool = False) -> Any:
        x = x**power * (1.0 if factor is None else factor)
        return x if offset is None else x + offset


def test_arguments_are_passed_by_name() -> None:
    model = Weighted()
    examples = {
        name: np.full((3, 2), value, np.float32) for name, value in (("x", 5), ("power", 2), ("factor", 3))
    }
    model(**examples)
    endpoint = endpoints_of(model, examples)["serving_default"]
    assert list(endpoint.inputs) == ["x", "factor", "power"]
    np.testing.assert_allclose(endpoint.function(**examples)["output"], np.full((3, 2), 75.0))
    with pytest.raises(ValueError, match="expected known shapes, got none for x, power of Weighted.call"):
        endpoints_of(model, {"x": examples["x"]})


class Nested(keras.Model):
    def call(self, inputs: Any, scale: Any) -> Any:
        return (inputs["pair"][0] - inputs["pair"][1]) * keras.ops.cast(scale, "float32")


def test_a_nested_argument_keeps_the_structure_that_keras_recorded() -> None:
    model = Nested()
    left, right, scale = np.full((2, 3), 5.0), np.full((2, 3), 2.0), np.full((2, 3), 4)
    model({"pair": [left, right]}, scale)
    examples = {"pair_0": left, "pair_1": right, "scale": scale}
    endpoint = endpoints_of(model, examples)["serving_default"]
    assert endpoint.inputs["scale"] == Spec(("batch", 3), "int64")
    np.testing.assert_allclose(endpoint.function(**examples)["output"], np.full((2, 3), 12.0))


def test_dropout_is_inactive() -> None:
    x = keras.Input((50,), name="x")
    endpoint = endpoints_of(keras.Model(x, layers.Dropout(0.5)(x)))["serving_default"]
    np.testing.assert_array_equal(endpoint.function(x=np.ones((2, 50)))["output"], np.ones((2, 50)))


def test_an_unbuilt_model_is_refused() -> None:
    with pytest.raises(
        ValueError, match="model: expected a built model, got .later.*Call it on data, fit it"
    ):
        endpoints_of(keras.Sequential([layers.Dense(2)], name="later"))


def test_an_object_that_is_not_a_keras_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model: expected a built keras.Model, got dict"):
        endpoints_of({})


def test_arguments_without_recorded_shapes_are_requested() -> None:
    model = Batch()
    model.built = True
    with pytest.raises(
        ValueError, match="expected known shapes, got none for inputs of Batch.call.*Pass inputs="
    ):
        endpoints_of(model)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "expected a dict of Endpoint by name, got {}"),
        ({"serving_default": len}, "expected an Endpoint under 'serving_default'"),
        ({"a b": Endpoint(dict, {})}, "expected names of letters, digits and _, got 'a b'"),
    ],
)
def test_wrong_declarations_are_refused(declared: Any, message: str) -> None:
    class Declaring(keras.Model):
        def endpoints(self) -> Any:
            return declared

    model = Declaring()
    model.built = True
    with pytest.raises((TypeError, ValueError), match=f"Declaring.endpoints\\(\\): {message}"):
        endpoints_of(model)
