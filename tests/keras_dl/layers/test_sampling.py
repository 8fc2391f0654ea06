"""Noise is addressed, not consumed; the layers that draw it obey their equations."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_dl.layers import Dropout, GaussianSampling, RandomShift, stateless_noise


def test_an_example_s_noise_does_not_depend_on_the_batch_around_it() -> None:
    whole = stateless_noise(10, (3, 2), seed=1, step=4)
    np.testing.assert_array_equal(stateless_noise(4, (3, 2), seed=1, step=4), whole[:4])
    np.testing.assert_array_equal(stateless_noise(6, (3, 2), seed=1, step=4, first_index=4), whole[4:])


def test_noise_is_the_same_in_a_graph_with_unknown_batch_and_step() -> None:
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int64)])
    def draw(batch_size: Any, step: Any) -> Any:
        noise = stateless_noise(batch_size, (5,), seed=1, step=step)
        assert noise.shape[1:] == (5,)
        return noise

    np.testing.assert_array_equal(draw(3, 7), stateless_noise(3, (5,), seed=1, step=7))


def test_seed_step_and_stream_each_change_every_number() -> None:
    base = np.asarray(stateless_noise(50, (7,), seed=1, step=2))
    for change in ({"seed": 2}, {"step": 3}, {"stream": 1}):
        other = np.asarray(stateless_noise(50, (7,), **{"seed": 1, "step": 2, **change}))
        assert not np.isclose(base, other, atol=1e-6).any()
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"distribution": "normal"}, stats.norm()),
        ({"distribution": "uniform"}, stats.uniform()),
        ({"distribution": "uniform", "minval": -1.0, "maxval": 1.0}, stats.uniform(-1, 2)),
    ],
)
def test_noise_follows_its_distribution(options: dict[str, Any], reference: Any) -> None:
    # Steps and seeds vary, so that the keys are under test as well as the generator.
    draws = [stateless_noise(50, (3,), seed=seed, step=seed * 7, **options) for seed in range(40)]
    assert stats.kstest(np.ravel(draws), reference.cdf).pvalue > 1e-3


def test_examples_are_independent() -> None:
    noise = np.asarray(stateless_noise(8, (5000,), seed=3, step=0))
    correlation = np.corrcoef(noise) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(5000)


def test_invalid_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="distribution: expected 'normal' or 'uniform', got 'gauss'"):
        stateless_noise(1, (2,), seed=0, step=0, distribution="gauss")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected minval < maxval, got minval=1.0 and maxval=1.0"):
        stateless_noise(1, (2,), seed=0, step=0, distribution="uniform", minval=1.0)


@pytest.mark.slow
def test_replicas_draw_together_what_one_device_draws() -> None:
    # Devices can only be split before TensorFlow starts, hence the process of its own. 13 examples in batches
    # of 8: the last batch is shared unequally.
    program = """
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from keras_dl.layers import stateless_noise
        from keras_dl.models import VAE, GaussianNaiveBayes

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        batches = iter(strategy.experimental_distribute_dataset(tf.data.Dataset.range(13).batch(8)))

        @tf.function
        def draw(step):
            noise = lambda batch: stateless_noise(tf.shape(batch)[0], (5,), seed=1, step=step)
            return strategy.experimental_local_results(strategy.run(noise, args=(next(batches),)))

        for step, size in enumerate((8, 5)):
            shares = draw(tf.constant(step))
            assert len(shares) == 2
            whole = stateless_noise(size, (5,), seed=1, step=step)
            np.testing.assert_array_equal(tf.concat(shares, 0), whole)

        # Whole batches: of an unequal one Keras itself weighs the replicas' shares alike.
        images = np.random.default_rng(0).random((16, 4, 4, 1), dtype=np.float32)
        labels = np.arange(16) % 2

        def data(*arrays):
            return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0]).batch(8)

        def vae():
            model = VAE(2, (4, 4, 1), "mlp", units=(3,), dynamic_binarization=True)
            model.compile("sgd")
            return model

        one = vae()
        with strategy.scope():
            both, bayes = vae(), GaussianNaiveBayes(2)
        both.set_weights(one.get_weights())
        wanted, got = (model.evaluate(data(images), verbose=0, return_dict=True) for model in (one, both))
        for name in wanted:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)
        one.fit(data(images), verbose=0)
        both.fit(data(images), verbose=0)
        for ours, theirs in zip(both.get_weights(), one.get_weights()):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        alone = GaussianNaiveBayes(2)
        for model in (alone, bayes):
            model.fit(data(images.reshape(16, 16), labels), verbose=0)
        for ours, theirs in zip(bayes.get_weights(), alone.get_weights()):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_sampling_is_mean_plus_sigma_epsilon() -> None:
    random = np.random.default_rng(0)
    mean, log_variance, epsilon = random.standard_normal((3, 4, 2)).astype("float32")
    z = GaussianSampling()((mean, log_variance, epsilon))
    np.testing.assert_allclose(z, mean + np.sqrt(np.exp(log_variance)) * epsilon, rtol=1e-5)


def test_epsilon_with_a_sample_axis_gives_that_many_samples() -> None:
    mean = tf.constant([[1.0, 2.0]])
    layer = GaussianSampling()
    z = layer((mean, tf.zeros((1, 2)), tf.ones((5, 1, 2))))
    np.testing.assert_array_equal(z, np.broadcast_to([2.0, 3.0], (5, 1, 2)))
    assert layer.compute_output_shape([(None, 2), (None, 2), (5, None, 2)]) == (5, None, 2)
    assert layer.compute_output_shape([(None, 1, 2), (None, 1, 2), (None, 5, 2)]) == (None, 5, 2)


def test_samples_have_the_requested_mean_and_variance() -> None:
    mean, log_variance = tf.fill((20000, 1), 3.0), tf.fill((20000, 1), np.float32(np.log(4.0)))
    z = np.ravel(GaussianSampling(seed=1)((mean, log_variance)))
    assert stats.kstest(z, stats.norm(3, 2).cdf).pvalue > 1e-3


def test_gradients_pass_through_a_sample() -> None:
    mean, log_variance, epsilon = tf.constant([[0.3]]), tf.constant([[0.8]]), tf.constant([[1.7]])
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        z = GaussianSampling()((mean, log_variance, epsilon))
    to_mean, to_log_variance = tape.gradient(z, [mean, log_variance])
    np.testing.assert_allclose(to_mean, [[1.0]])
    np.testing.assert_allclose(to_log_variance, [[0.5 * np.exp(0.4) * 1.7]], rtol=1e-5)


def test_training_calls_draw_new_noise_and_others_repeat() -> None:
    layer, inputs = GaussianSampling(), (tf.zeros((2, 3)), tf.zeros((2, 3)))
    first, second = layer(inputs, training=True), layer(inputs, training=True)
    assert not np.isclose(first, second).any()
    np.testing.assert_array_equal(layer(inputs), layer(inputs))


def test_a_layer_that_is_given_epsilon_keeps_no_state() -> None:
    layer = GaussianSampling()
    layer((tf.zeros((2, 3)), tf.zeros((2, 3)), tf.zeros((2, 3))))
    assert layer.weights == []


def test_sampling_refuses_one_input() -> None:
    with pytest.raises(ValueError, match="inputs: expected \\(mean, log_variance\\).*got 1 tensors"):
        GaussianSampling()((tf.zeros((2, 3)),))


def test_dropout_keeps_the_expectation_and_the_requested_share() -> None:
    dropped = np.asarray(Dropout(0.3)(tf.ones((200, 100)), training=True))
    kept = dropped != 0
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / kept.size)
    np.testing.assert_allclose(dropped[kept], 1 / 0.7, rtol=1e-6)


def test_dropout_outside_training_and_at_rate_0_changes_nothing() -> None:
    x = tf.random.stateless_normal((4, 5), seed=(0, 1))
    np.testing.assert_array_equal(Dropout(0.5)(x), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


def test_dropout_masks_continue_after_loading(tmp_path: Any) -> None:
    inputs = keras.Input((50,))
    model = keras.Model(inputs, Dropout(0.5, seed=3)(inputs))
    ones = tf.ones((2, 50))
    model(ones, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    second = model(ones, training=True)
    np.testing.assert_array_equal(loaded(ones, training=True), second)
    assert not np.array_equal(second, model(ones, training=True))


def test_dropout_refuses_a_rate_of_1() -> None:
    with pytest.raises(ValueError, match="rate.*at least 0 and below 1, got 1.0"):
        Dropout(1.0)


def moved(image: Any, down: int, right: int) -> Any:
    """The image (H, W, C) moved over a background of 0, cut from a larger one."""
    height, width, channels = image.shape
    around = np.zeros((3 * height, 3 * width, channels), image.dtype)
    around[height + down : 2 * height + down, width + right : 2 * width + right] = image
    return around[height : 2 * height, width : 2 * width]


def test_every_move_of_an_image_occurs_and_no_other() -> None:
    image = np.arange(1.0, 5 * 4 * 2 + 1, dtype=np.float32).reshape(5, 4, 2)
    got = np.asarray(RandomShift(2)(tf.repeat(image[None], 600, axis=0), training=True))
    moves = {moved(image, a, b).tobytes() for a in range(-2, 3) for b in range(-2, 3)}
    assert {each.tobytes() for each in got} == moves


def test_images_move_on_their_own_and_in_training_alone() -> None:
    images = tf.random.stateless_uniform((8, 6, 6, 1), seed=(0, 1))
    layer = RandomShift(1)
    np.testing.assert_array_equal(layer(images), images)
    np.testing.assert_array_equal(RandomShift(0)(images, training=True), images)
    first, second = (np.asarray(layer(images, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


def test_moves_continue_after_loading(tmp_path: Any) -> None:
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, RandomShift(2, seed=3)(inputs))
    images = tf.random.stateless_uniform((8, 6, 6, 1), seed=(0, 1))
    model(images, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images, training=True), model(images, training=True))


def test_random_shift_refuses_inputs_other_than_images() -> None:
    with pytest.raises(ValueError, match="pixels: expected an int of at least 0, got -1"):
        RandomShift(-1)
    with pytest.raises(ValueError, match=r"inputs: expected images \(B, H, W, C\), got shape \(2, 3\)"):
        RandomShift(1)(tf.zeros((2, 3)))
