"""Sequence classifiers and regressors against stacks of Keras's own layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl.data.adding import adding_problem
from keras_dl.models.recurrent.sequence import SequenceClassifier, SequenceRegressor

CELLS = ["rnn", "lstm", "gru"]
UNITS = 6


@pytest.fixture(name="random")
def _random():
    return np.random.default_rng(5)


def keras_stack(model, features):
    """The same network of Keras's own layers, with the model's weights; V is a Dense layer."""
    inputs = x = keras.Input((None, features))
    for index, layer in enumerate(model.recurrent_layers):
        options = {"return_sequences": index < len(model.recurrent_layers) - 1}
        weights = layer.get_weights()
        if model.cell == "rnn":
            own = [keras.layers.SimpleRNN(UNITS, use_bias=False, **options)]
            own.append(keras.layers.Dense(UNITS, use_bias=False))
            weights = [weights[:2], weights[2:]]
        elif model.cell == "lstm":
            own, weights = [keras.layers.LSTM(UNITS, **options)], [weights]
        else:
            own, weights = [keras.layers.GRU(UNITS, reset_after=False, **options)], [weights]
        for part, values in zip(own, weights, strict=True):
            x = part(x)
            part.set_weights(values)
    head = keras.layers.Dense(model.head.units)
    outputs = head(x)
    head.set_weights(model.head.get_weights())
    return keras.Model(inputs, outputs)


def randomised(model, random):
    model.set_weights([random.normal(size=w.shape).astype(w.dtype) * 0.5 for w in model.get_weights()])
    return model


@pytest.mark.parametrize("cell", CELLS)
class TestAgainstKeras:
    def test_classifier(self, cell, random):
        images = random.random((4, 9, 5, 3), dtype="float32")
        model = randomised(SequenceClassifier(cell, UNITS, 7, num_layers=2, image_shape=(9, 5, 3)), random)
        logits = keras_stack(model, 15)(images.reshape(4, 9, 15)).numpy()
        exponentials = np.exp(logits)
        np.testing.assert_allclose(model.logits(images), logits, rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            model(images), exponentials / exponentials.sum(axis=1, keepdims=True), rtol=0, atol=1e-6
        )

    def test_regressor(self, cell, random):
        sequences = random.normal(size=(4, 11, 2)).astype("float32")
        model = SequenceRegressor(cell, UNITS, num_outputs=3, num_layers=3)
        model(sequences)
        randomised(model, random)
        np.testing.assert_allclose(model(sequences), keras_stack(model, 2)(sequences), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
class TestCapabilities:
    @pytest.mark.slow
    def test_a_file_restores_the_whole_model(self, cell, random, tmp_path):
        images, labels = random.random((12, 8, 8, 1), dtype="float32"), random.integers(0, 4, 12)
        model = SequenceClassifier(cell, UNITS, 4, num_layers=2, dropout=0.2, clipnorm=0.5)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(images, labels, epochs=2, batch_size=6, validation_data=(images, labels), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.get_config() == model.get_config()
        np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
        assert loaded.evaluate(images, labels, verbose=0) == model.evaluate(images, labels, verbose=0)
        for mine, its in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(mine, its)

    def test_a_regressor_comes_back_from_a_file(self, cell, random, tmp_path):
        sequences, values = random.random((6, 8, 2), dtype="float32"), random.random((6, 2), dtype="float32")
        model = SequenceRegressor(cell, UNITS, 2)
        model.compile("adam", "mse")
        model.fit(sequences, values, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.get_config() == model.get_config()
        np.testing.assert_array_equal(loaded(sequences), model(sequences))

    def test_the_head_is_float32_in_mixed_precision(self, cell, random):
        images, labels = random.random((6, 8, 8, 1), dtype="float32"), random.integers(0, 4, 6)
        model = SequenceClassifier(cell, UNITS, 4, dtype="mixed_float16")
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(images, labels, verbose=0)
        assert model.recurrent_layers[0].compute_dtype == "float16"
        assert keras.backend.standardize_dtype(model(images).dtype) == "float32"
        assert model.optimizer.inner_optimizer.global_clipnorm == 1.0

    def test_endpoints_answer_what_the_model_answers(self, cell, random):
        images = random.random((5, 8, 6, 2), dtype="float32")
        model = SequenceClassifier(cell, UNITS, 4, image_shape=(8, 6, 2))
        endpoint = model.endpoints()["serving_default"]
        assert {name: spec.shape for name, spec in endpoint.inputs.items()} == {"image": ("batch", 8, 6, 2)}
        answer = endpoint.function(image=images)
        np.testing.assert_allclose(answer["logits"], model.logits(images), rtol=0, atol=1e-6)
        np.testing.assert_allclose(answer["probabilities"], model(images), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(answer["class"], np.argmax(model(images), axis=1))

        sequences = random.random((5, 9, 2), dtype="float32")
        regressor = SequenceRegressor(cell, UNITS)
        regressor(sequences)
        endpoint = regressor.endpoints()["serving_default"]
        assert endpoint.inputs["sequence"].shape == ("batch", "sequence_time", 2)
        answer = endpoint.function(sequence=sequences[:, :4])
        np.testing.assert_array_equal(answer["value"], regressor(sequences[:, :4]))


def test_an_image_is_the_sequence_of_its_rows(random):
    images = random.random((4, 28, 28, 1), dtype="float32")
    model = SequenceClassifier("gru", UNITS)
    rows = model(images[..., 0])
    assert model.endpoints()["serving_default"].inputs["sequence"].shape == ("batch", "sequence_time", 28)
    np.testing.assert_array_equal(model(images), rows)


@pytest.mark.slow
def test_a_gru_learns_to_add_marked_numbers():
    keras.utils.set_random_seed(0)
    model = SequenceRegressor("gru", 16)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    model.fit(adding_problem(length=8, num_examples=12_800, batch_size=64), epochs=2, verbose=0)
    assert (
        model.evaluate(adding_problem("test", length=8, num_examples=500), verbose=0) < 0.01
    )  # chance is 0.167


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_memory_starts_with_the_requested_length(cell, tmp_path):
    keras.utils.set_random_seed(0)
    model = SequenceRegressor(cell, 2000, memory_steps=100)
    model(np.zeros((1, 2, 1), "float32"))
    bias = np.split(model.recurrent_layers[0].get_weights()[2], 4 if cell == "lstm" else 3)
    kept = bias[1] if cell == "lstm" else bias[0]
    steps = 1 / (1 - 1 / (1 + np.exp(-kept)))  # 1 + f + f^2 + ... of the share f that is kept
    assert 2 <= steps.min() < 3
    assert 99 < steps.max() <= 100.001
    assert abs(steps.mean() - 51) < 3
    if cell == "lstm":
        np.testing.assert_array_equal(bias[0], -bias[1])
    np.testing.assert_array_equal(np.concatenate(bias[2:] if cell == "lstm" else bias[1:]), 0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").memory_steps == 100


class TestClipping:
    @pytest.mark.parametrize(("clipnorm", "longest"), [(0.25, 0.25), (None, np.inf)])
    def test_a_step_is_no_longer_than_the_clipped_gradient(self, clipnorm, longest, random):
        model = SequenceRegressor("rnn", UNITS, clipnorm=clipnorm)
        model.compile(keras.optimizers.SGD(1.0), "mse")
        sequences = random.normal(size=(4, 6, 2)).astype("float32")
        model(sequences)
        before = model.get_weights()
        model.fit(sequences, np.full((4, 1), 1e3, "float32"), verbose=0)
        step = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(model.get_weights(), before, strict=True)))
        if clipnorm is None:
            assert step > 10
        else:
            np.testing.assert_allclose(step, longest, rtol=1e-4)

    @pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm", "clipvalue"])
    def test_an_optimizer_that_clips_keeps_its_own_limit(self, option):
        optimizer = keras.optimizers.Adam(**{option: 3.0})
        SequenceRegressor().compile(optimizer, "mse")
        clipping = {name: getattr(optimizer, name) for name in ("clipnorm", "global_clipnorm", "clipvalue")}
        assert {name: value for name, value in clipping.items() if value} == {option: 3.0}


class TestErrors:
    @pytest.mark.parametrize("make", [SequenceClassifier, SequenceRegressor])
    @pytest.mark.parametrize(
        ("argument", "text"),
        [
            ({"cell": "LSTM"}, "cell: expected 'rnn' or 'lstm' or 'gru', got 'LSTM'"),
            ({"units": 0}, "units: expected an int of at least 1, got 0"),
            ({"num_layers": 0}, "num_layers: expected an int of at least 1, got 0"),
            ({"dropout": 1.0}, "dropout: expected a fraction of at least 0 and below 1, got 1.0"),
            ({"cell": "gru", "memory_steps": 1}, "memory_steps: expected an int of at least 2, got 1"),
            (
                {"cell": "rnn", "memory_steps": 9},
                "memory_steps: expected None with cell='rnn', which has no gates",
            ),
            ({"clipnorm": 0.0}, "clipnorm: expected a positive norm or None, got 0.0"),
        ],
    )
    def test_arguments(self, make, argument, text):
        with pytest.raises(ValueError, match=text):
            make(**argument)

    def test_sizes_of_the_answer(self):
        with pytest.raises(ValueError, match="num_classes: expected an int of at least 2, got 1"):
            SequenceClassifier(num_classes=1)
        with pytest.raises(ValueError, match="num_outputs: expected an int of at least 1, got 0"):
            SequenceRegressor(num_outputs=0)
        with pytest.raises(ValueError, match="image_shape: expected"):
            SequenceClassifier(image_shape=(28, 28))

    def test_ranks(self):
        with pytest.raises(
            ValueError, match=r"inputs: expected sequences .* or images .*, got shape \(3, 5\)"
        ):
            SequenceClassifier()(np.zeros((3, 5), "float32"))
        model = SequenceClassifier(image_shape=(8, 8, 1))
        for shape in ((3, 8), (3, 8, 7), (3, 8, 8, 2), (3, 8, 8, 1, 1)):
            with pytest.raises(
                ValueError, match=r"\(batch, time, 8\) or images with 8 numbers per row, got shape"
            ):
                model(np.zeros(shape, "float32"))

    def test_data_out_of_range(self, random):
        images, labels = random.random((6, 8, 8, 1), dtype="float32"), np.arange(6)
        model = SequenceClassifier(units=4, num_classes=6)
        model.compile("adam", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="image: expected values from 0 to 1, got values from"):
            model.fit(255 * images, labels, verbose=0)
        with pytest.raises(ValueError, match="classes from 0 to 5, got 1 to 6"):
            model.fit(images, labels + 1, verbose=0)

    @pytest.mark.parametrize("make", [SequenceClassifier, SequenceRegressor])
    def test_an_unbuilt_model_has_no_endpoints(self, make):
        with pytest.raises(
            ValueError, match=f"expected a built {make.__name__}, .* Call it on a batch first"
        ):
            make().endpoints()
