"""Tracing, examples, and the errors before a file is written."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import ConversionError, Endpoint, Spec
from keras_dl_export.tracing import trace_endpoints


class Noise(layers.Layer):
    def __init__(self, hidden: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(1) if hidden else None

    def call(self, x: Any) -> Any:
        if self.seed is None:
            return x + tf.random.normal(tf.shape(x))
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)


@pytest.mark.parametrize("hidden", [True, False])
def test_hidden_randomness_is_refused(hidden: bool) -> None:
    model = keras.Sequential([keras.Input((4,)), Noise(hidden, name="sampler")])
    before = [weight.numpy() for weight in model.variables]
    with pytest.raises(ConversionError, match="sampler.* draws random numbers .* Pass the noise as an input"):
        trace_endpoints(model)
    for now, then in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(now, then)


class Draw(layers.Layer):
    """A layer that adds noise of a hidden generator to its input."""

    def __init__(self, draw: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.draw = draw
        self.seed = keras.random.SeedGenerator(3)
        self.generator = tf.random.Generator.from_seed(3)

    def call(self, x: Any) -> Any:
        return x + self.draw(self, x)


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda layer, x: keras.random.normal(tf.shape(x), 2.0, seed=layer.seed), 2.0),
        (lambda layer, x: keras.random.uniform(tf.shape(x), 1.0, 5.0, seed=layer.seed), 3.0),
        (lambda layer, x: tf.cast(keras.random.randint(tf.shape(x), 0, 5, seed=layer.seed), "float32"), 2.0),
        (lambda layer, x: keras.random.dropout(tf.ones_like(x), 0.8, seed=layer.seed), 1.0),
        (lambda layer, x: tf.random.normal(tf.shape(x), 2.0), 2.0),
        (lambda layer, x: tf.random.uniform(tf.shape(x), 1.0, 4.0), 2.5),
        (lambda layer, x: tf.nn.dropout(tf.ones_like(x), 0.8), 1.0),
        (lambda layer, x: layer.generator.normal(tf.shape(x), -1.0), -1.0),
        (lambda layer, x: layer.generator.uniform(tf.shape(x), 2.0, 4.0), 3.0),
    ],
)
def test_hidden_randomness_is_replaced_by_its_mean_on_request(draw: Any, mean: float) -> None:
    layer = Draw(draw, name="sampler")
    model = keras.Sequential([keras.Input((4,), name="x"), layer])
    before = [variable.numpy() for variable in (*model.variables, layer.generator.state)]
    signature = trace_endpoints(model, random="mean")["serving_default"]
    for sample in signature.samples:
        np.testing.assert_allclose(sample.outputs["output"], sample.inputs["x"] + mean, rtol=1e-6)
        traced = signature.function(**{name: tf.constant(array) for name, array in sample.inputs.items()})
        np.testing.assert_allclose(traced["output"], sample.inputs["x"] + mean, rtol=1e-6)
    assert any("sampler" in note and "replaced by their mean" in note for note in signature.notes)
    for variable, then in zip((*model.variables, layer.generator.state), before, strict=True):
        np.testing.assert_array_equal(variable, then)
    assert np.std(model(np.zeros((100, 4), np.float32), training=False)) > 0.1, "the model draws as ever"


def test_a_draw_without_a_mean_is_refused() -> None:
    def draw(layer: Draw, x: Any) -> Any:
        return tf.cast(keras.random.categorical(x, 4, seed=layer.seed), "float32")

    model = keras.Sequential([keras.Input((4,)), Draw(draw, name="sampler")])
    with pytest.raises(ConversionError, match=r"sampler.* Pass the noise as an input of the endpoint\.$"):
        trace_endpoints(model, random="mean")
    with pytest.raises(ValueError, match="random: expected one of 'refuse', 'mean', got 'median'"):
        trace_endpoints(model, random="median")


def test_a_given_seed_is_accepted() -> None:
    model = keras.Sequential([keras.Input((4,)), Draw(lambda layer, x: keras.random.normal((1, 4), seed=5))])
    expected = np.asarray(model(np.zeros((1, 4), np.float32)))
    signature = trace_endpoints(model, np.zeros((1, 4)), random="mean")["serving_default"]
    np.testing.assert_array_equal(signature.samples[0].outputs["output"], expected)
    assert not signature.notes


def test_state_between_calls_is_refused() -> None:
    class Count(layers.Layer):
        def build(self, shape: Any) -> None:
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: Any) -> Any:
            self.calls.assign_add(1.0)
            return x * self.calls

    model = keras.Sequential([keras.Input((4,)), Count(name="memory")])
    with pytest.raises(ConversionError, match="memory.* changes a variable while it runs"):
        trace_endpoints(model)
    assert float(model.layers[0].calls) == 0.0


def test_a_stateful_layer_starts_every_call_from_zero_and_keeps_its_state() -> None:
    x = keras.Input(batch_shape=(2, 5, 3), name="x")
    model = keras.Model(x, layers.LSTM(2, stateful=True, name="memory")(x))
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    fresh = np.asarray(model(values))
    held = [state.numpy() for state in model.layers[1].states]
    assert np.abs(held).max() > 0.0
    signature = trace_endpoints(model, values)["serving_default"]
    for _ in range(2):
        (answer,) = signature.function(tf.constant(values)).values()
        np.testing.assert_allclose(answer, fresh, atol=1e-6)
    np.testing.assert_allclose(signature.samples[0].outputs["output"], fresh, atol=1e-6)
    assert signature.notes == (
        "memory: it is stateful, but a file is not: each call starts as after reset_state().",
    )
    for state, before in zip(model.layers[1].states, held, strict=True):
        np.testing.assert_array_equal(state.numpy(), before)
    assert model.layers[1].stateful


def test_noise_as_an_input_is_accepted() -> None:
    x, noise = keras.Input((4,), name="x"), keras.Input((4,), name="noise")
    assert set(trace_endpoints(keras.Model([x, noise], x + noise))["serving_default"].inputs) == {
        "x",
        "noise",
    }


def test_every_case_holds_the_outputs_of_the_model_at_two_batch_sizes(
    vae: keras.Model, images: np.ndarray
) -> None:
    for name, signature in trace_endpoints(vae, images).items():
        sizes = [{"batch": 1}, {"batch": 3}]
        # Where there are examples: real inputs, then random ones.
        plain = [sample for sample in signature.samples if sample.plain]
        assert [sample.sizes for sample in plain] == sizes * (2 if "image" in signature.inputs else 1)
        assert [sample.real for sample in plain[:2]] == ["image" in signature.inputs] * 2
        assert not any(sample.real for sample in plain[2:])
        assert signature.samples == (*plain, *(sample for sample in signature.samples if not sample.plain))
        for sample in signature.samples:
            endpoint = vae.endpoints()[name]
            expected = endpoint.function(**{key: tf.constant(array) for key, array in sample.inputs.items()})
            for output, array in sample.outputs.items():
                # `predict` computes in a graph, which fuses what the call makes one after the other.
                np.testing.assert_allclose(array, expected[output], rtol=1e-5, atol=1e-5)
    # Given examples are used, one after the other.
    first, second = trace_endpoints(vae, images)["encode"].samples[:2]
    np.testing.assert_array_equal(first.inputs["image"], images[:1])
    np.testing.assert_array_equal(second.inputs["image"], images[1:4])


def test_dynamic_axes_vary_and_outputs_name_the_axis_they_follow() -> None:
    source = keras.Input((None, 4), name="source")
    target = keras.Input((None, 4), name="target")
    model = keras.Model([source, target], layers.Attention()([target, source]))
    signature = trace_endpoints(model)["serving_default"]
    assert signature.outputs["output"].shape == ("batch", "target_time", 4)
    sizes = [sample.sizes for sample in signature.samples]
    assert sizes[0]["source_time"] != sizes[0]["target_time"] != sizes[1]["target_time"]


def test_axes_that_must_be_equal_are_drawn_equal() -> None:
    left, right = keras.Input((None, 4), name="left"), keras.Input((None, 4), name="right")
    samples = trace_endpoints(keras.Model([left, right], layers.Add()([left, right])))[
        "serving_default"
    ].samples
    assert all(sample.sizes["left_time"] == sample.sizes["right_time"] for sample in samples)
    assert samples[0].sizes["left_time"] != samples[1].sizes["left_time"]


def test_drawn_ids_stay_below_the_smallest_vocabulary() -> None:
    token = keras.Input((200,), dtype="int32", name="token")
    model = keras.Model(token, layers.Embedding(5, 2)(token) + layers.Embedding(90, 2)(token))
    drawn = trace_endpoints(model)["serving_default"].samples[0].inputs["token"]
    assert set(np.unique(drawn)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (
            {"picture": np.zeros((2, 8, 8, 1))},
            ValueError,
            "expected arrays for image, z, got one for 'picture'",
        ),
        (
            np.zeros((2, 9, 9, 1)),
            ValueError,
            r"\['image'\]: expected shape \(batch, 8, 8, 1\), got \(2, 9",
        ),
        (np.zeros((0, 8, 8, 1)), ValueError, r"inputs\['image'\]: expected at least one example"),
        (np.full((2, 8, 8, 1), "a"), TypeError, r"inputs\['image'\]: expected dtype float32, got <U1"),
    ],
)
def test_examples_that_do_not_match_are_refused(
    vae: keras.Model, inputs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        trace_endpoints(vae, inputs)


def test_one_array_is_not_enough_for_two_inputs() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    with pytest.raises(ValueError, match="inputs: expected a dict with arrays for left, right"):
        trace_endpoints(keras.Model([left, right], left + right), np.zeros((2, 4)))


def test_an_unknown_endpoint_is_refused(vae: keras.Model) -> None:
    with pytest.raises(ValueError, match="one of serving_default, encode, decode, got 'dream'"):
        trace_endpoints(vae, endpoints=["dream"])


def test_a_model_that_fails_on_the_examples_is_refused_with_the_remedy() -> None:
    class Picky(layers.Layer):
        def call(self, x: Any) -> Any:
            with tf.control_dependencies([tf.debugging.assert_greater(x, 5.0)]):
                return tf.identity(x)

    model = keras.Sequential([keras.Input((4,), name="x"), Picky()])
    with pytest.raises(ValueError, match="the model itself fails on example inputs: .* Pass inputs="):
        trace_endpoints(model)
    trace_endpoints(model, np.full((3, 4), 9.0))


def test_an_untraceable_model_is_refused() -> None:
    class Eager(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + float(tf.reduce_sum(x))

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    with pytest.raises(ConversionError, match="endpoint 'serving_default': it could not be traced"):
        trace_endpoints(keras.Sequential([keras.Input((4,)), Eager()]))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: x, "expected a dict of named tensors from the endpoint, got "),
        (lambda x: {"a b": x}, "expected output names of letters, digits and _, got 'a b'"),
    ],
)
def test_an_endpoint_returns_named_tensors(outputs: Any, message: str) -> None:
    class Declaring(keras.Model):
        def endpoints(self) -> dict[str, Endpoint]:
            return {"serving_default": Endpoint(outputs, {"x": Spec(("batch",), "float32")})}

    model = Declaring()
    model.built = True
    with pytest.raises(ConversionError, match=message):
        trace_endpoints(model)
