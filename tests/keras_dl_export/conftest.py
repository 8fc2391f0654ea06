"""Small models, one of each kind that the exporter distinguishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import Endpoint, Release, Spec, export
from tests._support.weights import disturb


@keras.saving.register_keras_serializable("keras_dl_export_tests")
class TinyVAE(keras.Model):
    """A subclassed model that declares several endpoints."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(4),
            ]
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(4 * 4 * 4, activation="relu"),
                layers.Reshape((4, 4, 4)),
                layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
            ]
        )
        self.built = True

    def encode(self, image: Any) -> dict[str, Any]:
        mean, log_variance = keras.ops.split(self.encoder(image, training=False), 2, axis=-1)
        return {"mean": mean, "log_variance": log_variance}

    def decode(self, z: Any) -> dict[str, Any]:
        return {"image": self.decoder(z, training=False)}

    def reconstruct(self, image: Any) -> dict[str, Any]:
        return self.decode(self.encode(image)["mean"])

    def call(self, image: Any) -> Any:
        return self.reconstruct(image)["image"]

    def endpoints(self) -> dict[str, Endpoint]:
        image = {"image": Spec(("batch", 8, 8, 1), "float32")}
        return {
            "serving_default": Endpoint(self.reconstruct, image),
            "encode": Endpoint(self.encode, image),
            "decode": Endpoint(self.decode, {"z": Spec(("batch", 2), "float32")}),
        }


@pytest.fixture(scope="session")
def vae() -> keras.Model:
    return disturb(TinyVAE(name="tiny_vae"))


@pytest.fixture(scope="session")
def perceptron() -> keras.Model:
    return disturb(
        keras.Sequential(
            [
                keras.Input((4,), name="features"),
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dense(3, activation="softmax"),
            ],
            name="perceptron",
        )
    )


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(3).random((10, 8, 8, 1), np.float32)


@pytest.fixture(scope="session")
def vae_release(vae: keras.Model, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release of all formats; tests only read it."""
    return export(vae, tmp_path_factory.mktemp("releases") / "vae", inputs=images)


@pytest.fixture
def answer() -> Any:
    """Call a Keras model or endpoint and return named NumPy arrays."""

    def ask(function: Any, **inputs: Any) -> dict[str, np.ndarray]:
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        outputs = outputs if isinstance(outputs, Mapping) else {"output": outputs}
        return {name: np.asarray(value) for name, value in outputs.items()}

    return ask
