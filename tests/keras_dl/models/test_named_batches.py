"""Batches that are dicts, as TensorFlow Datasets gives them, against the same batches as pairs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.models import CNN, VAE, GaussianNaiveBayes

IMAGES = np.random.default_rng(0).random((12, 8, 8, 1)).astype(np.float32)
LABELS = np.arange(12) % 3


def batches(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(4)


NAMED = {
    "data set of dicts": batches({"image": IMAGES, "label": LABELS, "id": LABELS}),
    "data set of dicts and labels": batches(({"image": IMAGES}, LABELS)),
    "dict of arrays": {"image": IMAGES, "label": LABELS},
}


def fitted(make, x, **options):
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(
        "adam", *(["sparse_categorical_crossentropy"] if isinstance(model, CNN) else []), jit_compile=False
    )
    history = model.fit(
        x, batch_size=None if isinstance(x, tf.data.Dataset) else 4, verbose=0, shuffle=False, **options
    )
    return history.history


@pytest.mark.parametrize("name", NAMED)
def test_dicts_train_as_pairs_do(name):
    def make():
        return CNN(3, (8, 8, 1))

    data = NAMED[name]
    held_out = batches((IMAGES, LABELS))
    expected = fitted(make, held_out, validation_data=held_out)
    named = fitted(make, data, validation_data=data)
    for key, values in expected.items():
        np.testing.assert_allclose(named[key], values, rtol=1e-6)


@pytest.mark.slow
def test_images_by_name_are_enough_for_a_model_without_labels():
    def make():
        return VAE(2, (8, 8, 1), "mlp")

    expected = fitted(make, batches(IMAGES))
    for data in (batches({"image": IMAGES}), NAMED["data set of dicts"], {"image": IMAGES}):
        np.testing.assert_allclose(fitted(make, data)["loss"], expected["loss"], rtol=1e-6)


@pytest.mark.parametrize("name", NAMED)
def test_predict_and_evaluate_take_dicts(name):
    model = CNN(3, (8, 8, 1))
    model.compile("adam", "sparse_categorical_crossentropy")
    data = NAMED[name]
    np.testing.assert_allclose(model.predict(data, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-6)
    expected = model.evaluate(IMAGES, LABELS, verbose=0)
    assert model.evaluate(data, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_dict_without_an_image_is_named():
    model = GaussianNaiveBayes(num_classes=3)
    model.compile()
    for data in (batches({"pixels": IMAGES, "label": LABELS}), {"pixels": IMAGES}):
        with pytest.raises(
            ValueError, match=r"image: expected .* key 'image', got dicts with the keys 'pixels'"
        ):
            model.fit(data)
