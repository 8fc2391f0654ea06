"""The MLP against NumPy, and what it refuses."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from keras_dl.models import MLP

IMAGES = np.random.default_rng(0).random((12, 4, 5, 1), dtype=np.float32)
LABELS = np.arange(12) % 3


def compiled(model: Any, from_logits: bool = False) -> Any:
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    return model


def test_the_forward_pass_is_the_equation() -> None:
    model = MLP((6, 5), 3, image_shape=(4, 5, 1), activation="tanh")
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    h = IMAGES.reshape(12, 20)
    for w, b in ((w1, b1), (w2, b2)):
        h = np.tanh(h @ w + b)
    answer = model.endpoints()["serving_default"].function(image=tf.constant(IMAGES))
    np.testing.assert_allclose(answer["logits"], h @ w3 + b3, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer["probabilities"], softmax(h @ w3 + b3, axis=-1), rtol=1e-4)
    np.testing.assert_array_equal(answer["class"], np.argmax(h @ w3 + b3, axis=-1))
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), answer["probabilities"], rtol=1e-5)


def test_without_units_it_is_linear() -> None:
    assert [weight.shape for weight in MLP((), 3, image_shape=(4, 5, 1)).weights] == [(20, 3), (3,)]


def test_a_flat_input_is_called_features_and_an_unbuilt_model_has_no_endpoints() -> None:
    model = MLP((2,), 3)
    with pytest.raises(ValueError, match="expected a built MLP.*pass image_shape"):
        model.endpoints()
    model(np.zeros((1, 7), "float32"))
    assert list(model.endpoints()["serving_default"].inputs) == ["features"]


@pytest.mark.filterwarnings("ignore:.*received `from_logits=True`")
def test_the_loss_stays_exact_where_probabilities_round_to_0_and_1() -> None:
    # Through probabilities the loss would be clipped at -log(1e-7) = 16, and its gradient would be 0.
    for from_logits in (False, True):
        model = compiled(MLP((), 2, image_shape=(1,)), from_logits)
        model.set_weights([np.array([[0.0, 100.0]]), np.zeros(2)])
        assert model.evaluate(np.ones((1, 1)), np.array([0]), verbose=0) == pytest.approx(100.0)
        model.fit(np.ones((1, 1)), np.array([0]), verbose=0)
        np.testing.assert_allclose(model.get_weights()[1], [0.01, -0.01], rtol=1e-4)


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("shift", "range_"), [(1, "1 to 3"), (-1, "-1 to 1")])
def test_labels_out_of_range_end_fit_and_evaluate(run_eagerly: bool, shift: int, range_: str) -> None:
    model = compiled(MLP((2,), 3, image_shape=(4, 5, 1)))
    model.run_eagerly = run_eagerly
    for method in (model.fit, model.evaluate):
        with pytest.raises(
            ValueError, match=f"^label: expected classes from 0 to 2, got {range_}. Number"
        ) as caught:
            method(IMAGES, LABELS + shift, verbose=0)
        assert "\n" not in str(caught.value)


def test_labels_may_be_columns_or_one_hot() -> None:
    model = MLP((2,), 3, image_shape=(4, 5, 1))
    compiled(model).fit(IMAGES, LABELS[:, None], verbose=0)
    model.compile("sgd", "categorical_crossentropy")
    assert np.isfinite(model.fit(IMAGES, np.eye(3)[LABELS], verbose=0).history["loss"]).all()


def test_images_outside_0_to_1_are_refused_and_features_are_not() -> None:
    with pytest.raises(ValueError, match="^image: expected values from 0 to 1, got values from"):
        compiled(MLP((2,), 3, image_shape=(4, 5, 1))).fit(IMAGES * 255, LABELS, verbose=0)
    compiled(MLP((2,), 3)).fit(IMAGES.reshape(12, 20) * 255, LABELS, verbose=0)


def test_inputs_of_another_shape_are_refused_before_and_after_training() -> None:
    for trained in (False, True):
        model = compiled(MLP((2,), 3, image_shape=(4, 5, 1)))
        if trained:
            model.fit(IMAGES, LABELS, verbose=0)
        with pytest.raises(ValueError, match=r"inputs: expected shape \(batch, 4, 5, 1\), got"):
            model.fit(IMAGES[:, :3], LABELS, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"units": (4, 0)}, "units: expected an int of at least 1, got 0"),
        ({"num_classes": 1}, "num_classes: expected an int of at least 2, got 1"),
        ({"dropout": -0.1}, "dropout: expected a fraction of at least 0 and below 1, got -0.1"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MLP(**arguments)
