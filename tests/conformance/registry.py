"""Every model of the package, registered once: each conformance test runs on each of these cases.

A new model is one more line of `CASES`, as small as it can be: 8 x 8 images, a handful of units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_dl.models import (
    CNN,
    DCGAN,
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
from keras_dl.optimizers import Adam

_random = np.random.default_rng(0)
IMAGES = _random.random((16, 8, 8, 1), dtype=np.float32)
FEATURES = _random.standard_normal((16, 5)).astype("float32")
CLASSES = (np.arange(16) % 3).astype("int32")
SIDES = (FEATURES[:, 0] > 0).astype("int32")
SEQUENCES = IMAGES[..., 0]
TOKENS = _random.integers(0, 7, (16, 9), dtype=np.int32)
LATENTS = _random.uniform(-1, 1, (16, 5)).astype("float32")


def optimizer() -> keras.Optimizer:
    """Return an optimizer with a state that a file could lose, and less to trace than Adam."""
    return keras.optimizers.SGD(0.01, momentum=0.9)


def classify(model: Any) -> None:
    model.compile(optimizer(), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def regress(model: Any) -> None:
    # Gradients that have to be clipped; Keras's own optimizers clip those of each replica by itself.
    model.compile(Adam(0.01, epsilon=0.1), loss="mse")


def plain(model: Any) -> None:
    model.compile(optimizer=optimizer())


def play(model: Any) -> None:
    model.compile(generator_optimizer=optimizer(), discriminator_optimizer=optimizer())


def linear_players() -> tuple[Any, Any]:
    generator = [keras.Input((5,)), keras.layers.Dense(64, "sigmoid", dtype="float32")]
    discriminator = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, dtype="float32")]
    return (
        keras.Sequential([*generator, keras.layers.Reshape((8, 8, 1), dtype="float32")]),
        keras.Sequential(discriminator),
    )


def ready(model: Any) -> None:
    """Do nothing: the model compiles itself."""


@dataclass(frozen=True)
class Case:
    """A model and its training.

    Attributes:
        name: the test's id.
        build: creates the model.
        fit: the arguments of `fit`: x, or x and y.
        compile: compiles the model.
        predict: the argument of `predict`, if it is not `fit`'s x.
        mixed_precision: whether it trains in float16 within a few steps (closed forms and thresholds do not).
        replicas: whether several devices can train it.
        slow: whether its tests are among the slow ones: a variant of a case that is not.
    """

    name: str
    build: Callable[[], keras.Model]
    fit: tuple[np.ndarray[Any, Any], ...]
    compile: Callable[[Any], None] = classify
    predict: Any = None
    mixed_precision: bool = True
    replicas: bool = True
    slow: bool = False


CASES = [
    Case("mlp", lambda: MLP((4,), 3, image_shape=(8, 8, 1)), (IMAGES, CLASSES)),
    Case("mlp-built-by-data", lambda: MLP((4, 3), 3, dropout=0.2), (FEATURES, CLASSES), slow=True),
    Case("cnn", lambda: CNN(3, (8, 8, 1), filters=(2, 3)), (IMAGES, CLASSES)),
    Case("vae", lambda: VAE(2, (8, 8, 1), filters=(2,), units=(4,)), (IMAGES,), plain),
    Case(
        "vae-gaussian",
        lambda: VAE(2, (8, 8, 1), "mlp", "gaussian", beta=2.0, num_samples=2, units=(4,)),
        (IMAGES,),
        plain,
        slow=True,
    ),
    Case(
        "iwae",
        lambda: VAE(2, (8, 8, 1), "mlp", units=(4,), num_samples=3, bound="iwae", dynamic_binarization=True),
        (IMAGES, CLASSES),
        plain,
        slow=True,
    ),
    Case(
        "perceptron",
        lambda: Perceptron(5),
        (FEATURES, SIDES),
        ready,
        mixed_precision=False,
        replicas=False,  # its rule processes one example after the other
    ),
    Case("naive-bayes", lambda: GaussianNaiveBayes(3), (FEATURES, CLASSES), ready, mixed_precision=False),
    Case("logistic-regression", lambda: LogisticRegression(3, l2=0.1), (FEATURES, CLASSES), ready),
    Case(
        "rnn-rows",
        lambda: SequenceClassifier("rnn", 4, 3, image_shape=(8, 8, 1)),
        (IMAGES, CLASSES),
    ),
    Case("lstm-rows", lambda: SequenceClassifier("lstm", 4, 3, dropout=0.2), (IMAGES, CLASSES), slow=True),
    Case(
        "gru-sequences",
        lambda: SequenceClassifier("gru", 4, 3, num_layers=2),
        (SEQUENCES, CLASSES),
        slow=True,
    ),
    Case(
        "rnn-regressor", lambda: SequenceRegressor("rnn", 4), (SEQUENCES, FEATURES[:, :1]), regress, slow=True
    ),
    Case(
        "gru-regressor",
        lambda: SequenceRegressor("gru", 4, 5, num_layers=2, dropout=0.2),
        (SEQUENCES, FEATURES),
        regress,
        slow=True,
    ),
    Case(
        "rnn-language",
        lambda: LanguageModel("abcdefg", "rnn", 4),
        (TOKENS[:, :-1], TOKENS[:, 1:]),
        plain,
        slow=True,
    ),
    Case(
        "lstm-language",
        lambda: LanguageModel("abcdefg", "lstm", 4, num_layers=2, dropout=0.2),
        (TOKENS[:, :-1], TOKENS[:, 1:]),
        plain,
        slow=True,
    ),
    Case("gru-language", lambda: LanguageModel("abcdefg", "gru", 4), (TOKENS[:, :-1], TOKENS[:, 1:]), plain),
    Case("gan", lambda: GAN(*linear_players(), label_smoothing=0.1), (IMAGES,), play, LATENTS),
    Case(
        "dcgan",
        lambda: DCGAN((8, 8, 1), 5, filters=(2, 3), discriminator_steps=2, ema_momentum=0.9),
        (IMAGES, CLASSES),
        play,
        LATENTS,
        slow=True,
    ),
    Case(
        "wgan",
        lambda: DCGAN((8, 8, 1), 5, "wasserstein", filters=(2, 3), prior="normal"),
        (IMAGES,),
        play,
        LATENTS,
        mixed_precision=False,  # its loss scale needs more steps than these to settle
        slow=True,
    ),
    Case(
        "conditional-gan",
        lambda: ConditionalGAN(3, (8, 8, 1), 5, filters=(2, 3)),
        (IMAGES, CLASSES),
        play,
        [LATENTS, CLASSES],
    ),
]
