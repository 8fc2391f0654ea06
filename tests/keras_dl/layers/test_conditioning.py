"""The class-conditioning layers against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl.layers import ClassConcatenation, ClassProjection

B, K = 4, 3
LABELS = np.array([2, 0, 1, 2], np.int32)


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(B, *shape)).astype("float32")


@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 3, 5)])
def test_concatenation_puts_the_unit_vector_of_the_class_beside_the_features_of_every_position(shape):
    x = features(*shape)
    layer = ClassConcatenation(K)
    h = np.asarray(layer((x, LABELS)))
    assert h.shape == layer.compute_output_shape([(B, *shape), (B,)]) == (B, *shape[:-1], 5 + K)
    np.testing.assert_array_equal(h[..., :5], x)
    for example, label in enumerate(LABELS):
        beside = h[example, ..., 5:].reshape(-1, K)
        np.testing.assert_array_equal(beside, np.tile(np.eye(K)[label], (len(beside), 1)))


def test_projection_is_the_product_of_features_and_embedding():
    x = features(5)
    layer = ClassProjection(K)
    s = np.asarray(layer((x, LABELS)))
    embeddings = layer.embeddings.numpy()
    assert s.shape == layer.compute_output_shape([(B, 5), (B,)]) == (B, 1)
    np.testing.assert_allclose(s[:, 0], [x[b] @ embeddings[LABELS[b]] for b in range(B)], rtol=1e-5)


def test_a_dense_layer_beside_the_projection_gives_the_log_ratio_of_two_softmax_posteriors():
    """Two linear classifiers: log p(y | x) / q(y | x) = x . v_y + f(x), where v = p's - q's."""
    rng = np.random.default_rng(1)
    real, generated = rng.normal(size=(2, K, 5))
    x = rng.normal(size=(B, 5))

    def log_posterior(embeddings):
        logits = x @ embeddings.T
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    ratio = log_posterior(real) - log_posterior(generated)
    layer = ClassProjection(K)
    layer.build([(B, 5), (B,)])
    layer.embeddings.assign(real - generated)
    rest = [ratio[:, y] - np.asarray(layer((x.astype("float32"), np.full(B, y))))[:, 0] for y in range(K)]
    np.testing.assert_allclose(rest[0], rest[1], atol=1e-5)
    np.testing.assert_allclose(rest[0], rest[2], atol=1e-5)


@pytest.mark.parametrize("layer", [ClassConcatenation(K), ClassProjection(K)])
def test_a_label_out_of_range_contributes_zero(layer):
    x = features(5)
    h = np.asarray(layer((x, np.full(B, K))))
    np.testing.assert_array_equal(h[:, -1], 0)


@pytest.mark.parametrize("layer_class", [ClassConcatenation, ClassProjection])
def test_a_model_with_the_layer_comes_back_from_its_file(layer_class, tmp_path):
    x, label = keras.Input((5,)), keras.Input((), dtype="int32")
    model = keras.Model([x, label], layer_class(K, dtype="mixed_float16")((x, label)))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [features(5), LABELS]
    assert model(inputs).dtype == again(inputs).dtype == "float16"
    np.testing.assert_array_equal(model(inputs), again(inputs))


def test_bad_arguments_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="num_classes: expected an int of at least 2, got 1"):
        ClassConcatenation(1)
    with pytest.raises(ValueError, match=r"inputs: expected \(features, class\).*in a tuple"):
        ClassConcatenation(K)(features(5))
    with pytest.raises(ValueError, match=r"inputs: expected features of shape \(batch, features\).*Flatten"):
        ClassProjection(K)((features(2, 2, 5), LABELS))
