"""Training steps: non-finite numbers are refused, with XLA, too, and gradients are accumulated."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.models import (
    CNN,
    GAN,
    MLP,
    VAE,
    ConditionalGAN,
    GaussianNaiveBayes,
    LanguageModel,
    LogisticRegression,
    Perceptron,
    SequenceClassifier,
    SequenceRegressor,
)
from tests._support.toy_gan import bits

random = np.random.default_rng(0)
IMAGES = random.random((12, 8, 8, 1), dtype=np.float32)
FEATURES = random.standard_normal((12, 5)).astype("float32")
SEQUENCES = random.standard_normal((12, 4, 2)).astype("float32")
NUMBERS = random.standard_normal((12, 1)).astype("float32")
TOKENS = random.integers(0, 3, (12, 4), dtype=np.int32)
CLASSES = np.arange(12) % 3


def vae(optimizer="adam", **options):
    model = VAE(2, (8, 8, 1), "mlp", units=(4,))
    model.compile(optimizer, **options)
    return model


def rows_gan(**options):
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    discriminator = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model = GAN(generator, discriminator)
    model.compile("sgd", "sgd", **options)
    return model


def conditional_gan(optimizers=("sgd", "sgd"), **options):
    model = ConditionalGAN(3, (8, 8, 1), 3, filters=(2,))
    model.compile(*optimizers, **options)
    return model


def classifier(model, **options):
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


def language_model(optimizer="sgd", **options):
    model = LanguageModel("abc", "rnn", 2)
    model.compile(optimizer, **options)
    return model


def regressor(**options):
    model = SequenceRegressor("rnn", 2)
    model.compile("sgd", "mse", **options)
    return model


def spoiled(x, value=np.nan, dtype=None):
    """A copy of x with one such number in it."""
    x = x.astype(dtype or x.dtype)
    x.reshape(-1)[len(x.reshape(-1)) // 2] = value
    return x


MODELS = {
    "mlp": (lambda **o: classifier(MLP((4,), 3), **o), FEATURES, CLASSES),
    "cnn": (lambda **o: classifier(CNN(3, (8, 8, 1), filters=(2,)), **o), IMAGES, CLASSES),
    "vae": (vae, IMAGES, None),
    "gan": (rows_gan, FEATURES, None),
    "conditional-gan": (conditional_gan, IMAGES, CLASSES),
    "sequence-classifier": (lambda **o: classifier(SequenceClassifier("rnn", 2, 3), **o), SEQUENCES, CLASSES),
    "sequence-regressor": (regressor, SEQUENCES, NUMBERS),
    "naive-bayes": (lambda **o: GaussianNaiveBayes(3), FEATURES, CLASSES),
    "logistic-regression": (lambda **o: LogisticRegression(3), FEATURES, CLASSES),
    "perceptron": (lambda **o: Perceptron(), FEATURES, CLASSES % 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_model_trains_on_a_non_finite_number(name):
    make, x, y = MODELS[name]
    model = make()
    model.fit(x, y, verbose=0)
    before = bits(*model.trainable_weights)
    # An image is out of its range, too: either check may be the first to fail.
    refused = "NaN or infinity" if x.ndim < 4 else "NaN or infinity|expected values from 0 to 1"
    for value in (np.nan, -np.inf):
        with pytest.raises(ValueError, match=refused):
            model.fit(spoiled(x, value), y, verbose=0)
        with pytest.raises(ValueError, match=refused):
            model.evaluate(spoiled(x, value), y, verbose=0)
    if y is not None and y.dtype.kind == "f":
        with pytest.raises(ValueError, match="label 1"):
            model.fit(x, spoiled(y), verbose=0)
    assert bits(*model.trainable_weights) == before


@pytest.mark.parametrize("dtype", ["float16", "float64", tf.bfloat16.as_numpy_dtype])
def test_numbers_of_every_float_type_are_checked(dtype):
    model = classifier(MLP((4,), 3))
    data = tf.data.Dataset.from_tensors((FEATURES.astype(dtype), CLASSES))
    model.fit(data, verbose=0)
    with pytest.raises(ValueError, match="inputs 1"):
        model.fit(tf.data.Dataset.from_tensors((spoiled(FEATURES, dtype=dtype), CLASSES)), verbose=0)


def test_values_that_overflow_float32_are_refused_and_large_ones_are_not():
    model = classifier(MLP((4,), 3))
    large = np.full_like(FEATURES, 3e38)  # their sum is infinite, none of them is
    model.test_on_batch(large * 0, CLASSES)
    model.test_on_batch(large, CLASSES)
    with pytest.raises(ValueError, match="inputs 1"):
        model.fit(tf.data.Dataset.from_tensors((spoiled(FEATURES, 1e300, "float64"), CLASSES)), verbose=0)


def test_non_finite_example_weights_are_refused():
    with pytest.raises(ValueError, match="sample_weight 1"):
        classifier(MLP((4,), 3)).fit(
            FEATURES, CLASSES, sample_weight=spoiled(np.ones(12, np.float32)), verbose=0
        )


OUT_OF_RANGE = {
    "cnn image": ("cnn", IMAGES * 255, CLASSES, "image"),
    "cnn label": ("cnn", IMAGES, CLASSES + 1, "label"),
    "mlp label": ("mlp", FEATURES, CLASSES - 1, "label"),
    "mlp NaN": ("mlp", spoiled(FEATURES), CLASSES, "inputs"),
    "vae image": ("vae", IMAGES * 255, None, "image"),
    "gan NaN": ("gan", spoiled(FEATURES), None, "image"),
    "conditional-gan label": ("conditional-gan", IMAGES, CLASSES + 1, "label"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OUT_OF_RANGE)
def test_xla_keeps_the_checks(case):
    name, x, y, argument = OUT_OF_RANGE[case]
    make, good, labels = MODELS[name]
    model = make(jit_compile=True)
    assert model.jit_compile
    with pytest.raises(ValueError, match=f"^{argument}.*expected"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=f"^{argument}.*expected"):
        model.evaluate(x, y, verbose=0)
    if name in ("cnn", "vae") and argument == "image":
        with pytest.raises(ValueError, match="^image: expected values"):
            model.predict(x, verbose=0)
    before = bits(*model.trainable_weights)
    losses = model.fit(good, labels, verbose=0).history
    assert all(np.isfinite(value).all() for value in losses.values())
    assert model.jit_compile
    assert bits(*model.trainable_weights) != before


def test_xla_trains_to_the_weights_of_a_training_without_it():
    trained = []
    for jit in (False, True):
        keras.utils.set_random_seed(1)
        model = classifier(MLP((4,), 3), jit_compile=jit)
        model.fit(FEATURES, CLASSES, epochs=3, batch_size=5, shuffle=False, verbose=0)
        trained.append((model.get_weights(), model.predict(FEATURES, verbose=0)))
    (weights, answers), (others, others_answers) = trained
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(answers, others_answers, atol=1e-5)


@pytest.mark.parametrize("options", [{"steps_per_execution": 3}, {"run_eagerly": True}])
def test_every_way_to_run_a_step_checks(options):
    model = classifier(MLP((4,), 3), **options)
    with pytest.raises(ValueError, match=r"^inputs.*NaN"):
        model.fit(spoiled(FEATURES), CLASSES, batch_size=4, verbose=0)


def sgd(steps=None):
    return keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)


def test_accumulated_batches_draw_noise_of_their_own():
    model = vae(sgd(2))
    drawn = []
    model._draw = lambda image, **key: drawn.append(int(key["step"])) or VAE._draw(model, image, **key)
    model.compile(sgd(2), run_eagerly=True)
    model.fit(IMAGES, batch_size=4, shuffle=False, verbose=0)
    assert drawn == [0, 1, 2]


def test_accumulated_gradients_are_the_mean_of_those_of_the_batches():
    keras.utils.set_random_seed(3)
    accumulating, plain = vae(sgd(3)), vae(keras.optimizers.SGD(0.0))
    plain.set_weights(accumulating.get_weights())
    before = [weight.numpy() for weight in accumulating.trainable_weights]
    expected = [np.zeros_like(weight) for weight in before]
    for step in range(3):
        image = IMAGES[4 * step : 4 * step + 4]
        with tf.GradientTape() as tape:
            epsilon = plain._draw(tf.constant(image), step=step, stream=0)[1]
            loss = tf.reduce_mean(plain.terms(image, epsilon).loss)
        variables = [weight.value for weight in plain.trainable_weights]
        for total, gradient in zip(expected, tape.gradient(loss, variables), strict=True):
            total += gradient.numpy() / 3
    accumulating.fit(IMAGES[:8], batch_size=4, shuffle=False, verbose=0)
    assert bits(*accumulating.trainable_weights) == [weight.tobytes() for weight in before]
    accumulating.fit(IMAGES[8:], batch_size=4, shuffle=False, verbose=0)
    for weight, old, gradient in zip(accumulating.trainable_weights, before, expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), old - 0.1 * gradient, atol=1e-5)


def test_players_accumulate_and_their_averages_wait_for_the_update():
    optimizers = sgd(2), sgd(2)
    model = ConditionalGAN(3, (8, 8, 1), 3, filters=(2,), ema_momentum=0.5)
    model.compile(*optimizers)
    image, label = IMAGES[:4], CLASSES[:4]
    averages, weights = bits(*model.averages), bits(*model.trainable_weights)
    model.train_on_batch(image, label)
    assert bits(*model.trainable_weights) == weights
    assert bits(*model.averages) == averages
    model.train_on_batch(image, label)
    assert bits(*model.trainable_weights) != weights
    assert bits(*model.averages) != averages


def test_a_language_model_accumulates():
    model = language_model(sgd(2))
    weights = bits(*model.trainable_weights)
    model.train_on_batch(TOKENS, TOKENS)
    assert bits(*model.trainable_weights) == weights
    model.train_on_batch(TOKENS, TOKENS)
    assert bits(*model.trainable_weights) != weights


def test_accumulation_under_a_strategy_is_refused_with_the_remedy():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = vae(sgd(2))
    with pytest.raises(ValueError, match=r"^gradient_accumulation_steps: .*batch_size"):
        model.fit(IMAGES, verbose=0)
