"""The callbacks for the notes' claims about errors and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.callbacks import GeneralizationGap, GradientFlow
from keras_dl.theory import hoeffding_bound

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 4)).astype("float32"), RNG.integers(0, 2, 60)


def network(dropout=0.0, layers=1, metrics=("accuracy",)):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,))]
        + [keras.layers.Dense(8, "sigmoid") for _ in range(layers)]
        + [keras.layers.Dropout(dropout), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss=loss, metrics=list(metrics))
    return model


def batches(part):
    return tf.data.Dataset.from_tensor_slices((X[part], Y[part])).batch(8)


def test_the_gap_is_the_difference_of_the_errors():
    train, test = batches(slice(0, 40)), batches(slice(40, 60))
    model, gap = network(dropout=0.5), GeneralizationGap(train, test, delta=0.1)
    history = model.fit(train, epochs=3, shuffle=False, verbose=0, callbacks=[gap]).history
    answers = np.asarray(model(X)).argmax(-1)
    assert gap.train_error[-1] == pytest.approx((answers[:40] != Y[:40]).mean(), abs=1e-6)
    assert gap.test_error[-1] == pytest.approx((answers[40:] != Y[40:]).mean(), abs=1e-6)
    assert history["generalization_gap"] == gap.gap
    assert len(gap.gap) == 3
    assert hoeffding_bound(20, gap.deviation) == pytest.approx(0.1)


def test_a_gap_needs_accuracy_and_a_probability():
    with pytest.raises(ValueError, match="delta: expected a probability between 0 and 1, got 2"):
        GeneralizationGap(None, None, delta=2)
    data = batches(slice(0, 16))
    with pytest.raises(ValueError, match="model: expected one that reports accuracy, got metrics loss"):
        network(metrics=()).fit(data, shuffle=False, verbose=0, callbacks=[GeneralizationGap(data, data)])


def test_gradient_norms_are_finite_differences(tmp_path):
    model, flow = network(), GradientFlow(X, Y, folder=tmp_path, every=2)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[flow])
    assert flow.epochs == [0, 2, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gradients-0000.png", "gradients-0002.png", "gradients-0004.png",
    ]  # fmt: skip
    bias = model.layers[-1].bias
    slopes, h = [], 1e-2
    for each in np.eye(2, dtype="float32"):
        losses = []
        for sign in (1, -1):
            bias.assign_add(sign * h * each)
            losses.append(float(model.compute_loss(y=Y, y_pred=model(X))))
            bias.assign_add(-sign * h * each)
        slopes.append((losses[0] - losses[1]) / (2 * h))
    assert flow.names[-1].endswith("bias")
    assert flow.norms[-1][-1] == pytest.approx(np.linalg.norm(slopes), rel=1e-2, abs=1e-4)


def test_gradients_vanish_through_sigmoids():
    model, flow = network(layers=5), GradientFlow(X, Y)
    model.fit(X, Y, verbose=0, callbacks=[flow])
    kernels = [norm for name, norm in zip(flow.names, flow.norms[0], strict=True) if "kernel" in name]
    assert kernels[0] < kernels[-1] / 50


def test_gradient_flow_needs_an_interval():
    with pytest.raises(ValueError, match="every: expected a number of epochs of at least 1, got 0"):
        GradientFlow(X, Y, every=0)
