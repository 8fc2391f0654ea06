"""A user's program: every call is right, so mypy --strict accepts it."""

from __future__ import annotations

import numpy as np

from keras_dl import load_model
from keras_dl.data import describe, load
from keras_dl.export import Release, export, load_artifact, to_tflite
from keras_dl.layers import Conv2D
from keras_dl.models import CNN, MLP, VAE, ConditionalGAN, LanguageModel, SequenceClassifier
from keras_dl.serving import Client, Server
from keras_dl.theory import conv_output_size, hoeffding_bound, hoeffding_sample_size
from keras_dl.training import Run, train


def classify() -> float:
    train_set, validation = load("digits", ("train", "validation"), batch_size=32, seed=0)
    for image, label in train_set.take(1):
        print(image.shape, np.asarray(label), image * 2)
    classes = describe("digits").num_classes or 10
    model = CNN(num_classes=classes, image_shape=(8, 8, 1), filters=(8, 16), name="digits")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_set, validation_data=validation, epochs=1)
    return float(model.evaluate(load("digits", "test"))[1])


def draw() -> None:
    for images in load("digits", labels=False, image_size=28):
        print(images.numpy().mean())
    vae: VAE = VAE.from_preset("vae-digits")
    print(vae.sample(16), vae.sample(z=np.zeros((2, 16))))
    gan = ConditionalGAN(num_classes=10, image_shape=(28, 28, 1), loss="hinge")
    print(gan.generate(4, label=[0, 1, 2, 3]))
    print(load_model("model.keras"))


def others() -> None:
    MLP(units=(256, 128), num_classes=10, dtype="mixed_bfloat16")
    SequenceClassifier(cell="lstm", units=128, num_classes=10)
    print(LanguageModel("abc", cell="gru", units=256).generate("a", 10, temperature=0.8).upper())
    Conv2D(8, 3, padding="same")
    Conv2D(8, (3, 5), padding=(1, 2))
    bound: float = hoeffding_bound(100, 0.1)
    needed: int = hoeffding_sample_size(0.1, 0.05)
    size: int = conv_output_size(28, kernel_size=3, stride=2, padding=1)
    print(bound, needed, size)


def run() -> dict[str, float]:
    finished: Run = train("vae-digits", epochs=1, settings={"latent_dim": 8}, precision="float32")
    return finished.metrics


def serve(model: CNN) -> None:
    to_tflite(model, "model.tflite", quantize="dynamic")
    release: Release = export(
        model, "releases/digits", formats=("saved_model", "onnx"), quantize={"onnx": "int8"}
    )
    images = np.zeros((2, 8, 8, 1), np.float32)
    print(load_artifact(release.path / "onnx" / "serving_default.onnx")({"image": images})["class"].shape)
    with Server("releases", rest_port=0, grpc_port=None) as server, Client(server.rest_url) as client:
        print(client.predict("digits", {"image": images})["class"].sum(), client.status("digits")[0].state)
