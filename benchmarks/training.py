"""Training side by side: the same architecture, batch and optimizer in keras_dl, plain Keras and PyTorch.

    python benchmarks/training.py [--quick] [--only NAME ...] [--out FILE.json]

Prints, for each workload and peer, the median times, their ratio (below 1: keras_dl is faster) with its
quartiles over the rounds, and the upper bound of the ratio, if there is one. All sides run on the CPU with
the same number of threads. PyTorch is optional (`pip install --group benchmark`); without it its rows are
omitted. `--quick` gives orders of magnitude.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

import keras
import keras_peers
import numpy as np
import tensorflow as tf
from side_by_side import (
    QUICK,
    Comparison,
    Effort,
    Peer,
    Work,
    available_cores,
    command_line,
    environment,
    run,
)

from keras_dl.data import load
from keras_dl.layers import GRU, LSTM, VanillaRNN
from keras_dl.metrics import importance_sampled_nll
from keras_dl.models import CNN, DCGAN, MLP, VAE, checked_model
from keras_dl.models.vae import vae
from keras_dl.optimizers import Adam

BATCH = 128
LATENT_DIM = 16
RECURRENT_SIZES = ((64, 28, 28, 128), (64, 100, 64, 128), (32, 100, 128, 256))  # B, T, D, H
PACKAGES = ("keras-dl", "keras", "tensorflow", "numpy", "torch")


@dataclass(frozen=True)
class Options:
    """The options of a workload.

    Attributes:
        quick: small sizes, few rounds.
        torch: the PyTorch side, or None if it is not installed.
        compiled: also compile PyTorch's VAE.
        nll_images: images whose likelihood is estimated.
        nll_samples: draws per image.
    """

    quick: bool
    torch: ModuleType | None
    compiled: bool
    nll_images: int
    nll_samples: int


# One step of each model.


def vae_step(options: Options) -> Iterator[Comparison]:
    """Compare one step of Adam of the convolutional VAE."""
    images = _images(BATCH)
    ours = _vae()
    peers = {}
    for name, jit in (("Keras", False), ("Keras with XLA", True)):
        networks = (keras_peers.plain_copy(each) for each in (ours.encoder, ours.decoder))
        plain = keras_peers.PlainVAE(*networks)
        plain.compile(keras.optimizers.Adam(1e-3), jit_compile=jit)
        peers[name] = Peer(_keras_step(plain, images))
    if options.torch:
        model = options.torch.VAE(LATENT_DIM)
        _check_size(ours, options.torch.parameter_count(model))
        peers["PyTorch"] = Peer(options.torch.vae_step(model, images), at_most=0.75)
        if options.compiled:
            model = options.torch.VAE(LATENT_DIM)
            peers["PyTorch compiled"] = Peer(options.torch.vae_step(model, images, compiled=True))
    yield Comparison("vae", _keras_step(ours, images), peers)


def dcgan_step(options: Options) -> Iterator[Comparison]:
    """Compare one turn of each player of the DCGAN."""
    images = _images(BATCH)
    ours = DCGAN()
    ours.compile(*_players_adam(Adam), jit_compile=False)
    players = (keras_peers.plain_copy(each) for each in (ours.generator, ours.discriminator))
    plain = keras_peers.TwoPassGAN(*players)
    plain.compile(*_players_adam(keras.optimizers.Adam), jit_compile=False)
    peers = {"Keras, two generator passes": Peer(_keras_step(plain, images))}
    if options.torch:
        networks = options.torch.Generator(), options.torch.Discriminator()
        _check_size(ours, options.torch.parameter_count(*networks))
        peers["PyTorch"] = Peer(options.torch.gan_step(*networks, images), at_most=0.95)
    yield Comparison("dcgan", _keras_step(ours, images), peers)


def cnn_step(options: Options) -> Iterator[Comparison]:
    """Compare one step of Adam of the CNN on the cross-entropy."""
    images, labels = _images(BATCH), _labels(BATCH)
    ours = CNN()
    plain = keras.Sequential([keras_peers.plain_copy(ours.features), keras.layers.Dense(10)])
    _compile_classifier(ours, Adam, from_logits=False)
    _compile_classifier(plain, from_logits=True)
    peers = {"Keras": Peer(_keras_step(plain, images, labels))}
    if options.torch:
        model = options.torch.cnn()
        _check_size(ours, options.torch.parameter_count(model))
        peers["PyTorch"] = Peer(
            options.torch.classifier_step(model, images, labels, images=True), at_most=1.0
        )
    yield Comparison("cnn", _keras_step(ours, images, labels), peers)


def recurrent_step(cell: str, options: Options) -> Iterator[Comparison]:
    """Compare one step of Adam of a recurrent layer with a linear head on its last output."""
    layer = {"lstm": LSTM, "gru": GRU, "rnn": VanillaRNN}[cell]
    for size in RECURRENT_SIZES[:1] if options.quick else RECURRENT_SIZES:
        batch, time, features, units = size
        sequences = _random(0).standard_normal((batch, time, features), np.float32)
        labels = _labels(batch)
        ours, plain = (
            keras.Sequential([keras.Input((time, features)), *layers, keras.layers.Dense(10)])
            for layers in ([layer(units)], keras_peers.recurrent_layers(cell, units))
        )
        for model in (ours, plain):
            _compile_classifier(model, from_logits=True)
        bound = None if cell == "rnn" else 1.05
        peers = {"Keras": Peer(_keras_step(plain, sequences, labels), bound)}
        if options.torch:
            network = options.torch.SequenceClassifier(cell, features, units)
            second_bias = {"lstm": 4, "gru": 3, "rnn": 0}[cell] * units
            _check_size(ours, options.torch.parameter_count(network) - second_bias)
            peers["PyTorch"] = Peer(options.torch.classifier_step(network, sequences, labels))
        yield Comparison(f"{cell} {'x'.join(map(str, size))}", _keras_step(ours, sequences, labels), peers)


def finite_check(options: Options) -> Iterator[Comparison]:
    """Compare a step that checks for NaN and infinity with the same step without that check."""
    rows, labels = _random(1).standard_normal((BATCH, 784), np.float32), _labels(BATCH)
    for name, make, batch in (("mlp", _mlp, (rows, labels)), ("vae", _vae, (_images(BATCH),))):
        step = _keras_step(make(), *batch)
        with ExitStack() as patches:
            for module in (checked_model, vae):
                unchecked = mock.patch.object(
                    module, "checked_finite", lambda **tensors: (*tensors.values(),)
                )
                patches.enter_context(unchecked)
            plain = _keras_step(make(), *batch)
            plain()  # traced without the check
        yield Comparison(f"finite check, {name}", step, {"unchecked": Peer(plain, at_most=1.02)})


# More than a step.


def fit_epoch(options: Options) -> Iterator[Comparison]:
    """Compare an epoch of `fit`, with its data pipeline, with the same number of bare steps on one batch."""
    steps = 20 if options.quick else 100
    vae = _vae()
    data = load(_images(steps * BATCH), labels=False, batch_size=BATCH, seed=0)
    batch = tf.constant(_images(BATCH))
    bare = tf.function(vae.train_step)

    def bare_steps() -> None:
        for _ in range(steps):
            bare(batch)

    def epoch() -> None:
        vae.fit(data, verbose=0)

    bare_steps()  # trace both before they are measured
    epoch()
    peer = Peer(bare_steps, at_most=1.10)
    yield Comparison("fit", epoch, {f"{steps} bare steps": peer}, repeat=False)


def importance_sampling(options: Options) -> Iterator[Comparison]:
    """Compare the importance-sampled likelihood of many images, all at once and one by one.

    Both loops run compiled graphs on a part of the images and of the draws. The first computes all draws of
    an image together, thousands at a time as ours does. Its arithmetic is nearly the same, so the bound of a
    tenth applies only to the second.
    """
    vae, draws = _vae(), options.nll_samples
    images = _images(options.nll_images).round()
    some = images[: max(1, len(images) // 20)]
    few = max(1, draws // 20)

    @tf.function(reduce_retracing=True)
    def log_weights(image: Any, count: Any) -> Any:
        return vae.log_importance_weights(image, tf.random.normal((1, count, LATENT_DIM)))

    def loop(images: Any, turns: int, draws: int) -> None:
        for image in images:
            weights = [log_weights(image[None], tf.constant(draws)) for _ in range(turns)]
            tf.reduce_logsumexp(tf.concat(weights, axis=1))

    loop(some[:1], 1, draws)  # trace both before they are measured
    loop(some[:1], 1, 1)
    share = len(some) / len(images)
    peers = {
        "loop over images": Peer(lambda: loop(some, 1, draws), share=share),
        "loop over images and draws": Peer(
            lambda: loop(some, few, 1), at_most=0.1, share=share * few / draws
        ),
    }
    name = f"nll {len(images)} images, k={draws}"
    yield Comparison(name, lambda: importance_sampled_nll(vae, images, draws), peers, repeat=False)


def import_time(options: Options) -> Iterator[Comparison]:
    """Compare a new interpreter that imports the VAE with one that imports Keras."""
    ours, theirs = (_interpreter(code) for code in ("from keras_dl.models import VAE", "import keras"))
    theirs()  # reads the files from the disk once
    yield Comparison("import VAE", ours, {"import keras": Peer(theirs, at_most=1.1)}, repeat=False)


WORKLOADS: dict[str, Callable[[Options], Iterator[Comparison]]] = {
    "vae": vae_step,
    "dcgan": dcgan_step,
    "cnn": cnn_step,
    "lstm": lambda options: recurrent_step("lstm", options),
    "gru": lambda options: recurrent_step("gru", options),
    "rnn": lambda options: recurrent_step("rnn", options),
    "finite": finite_check,
    "fit": fit_epoch,
    "nll": importance_sampling,
    "import": import_time,
}


# Shared by the workloads.


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _images(count: int) -> Any:
    return _random(1).random((count, 28, 28, 1), np.float32)


def _labels(count: int) -> Any:
    return _random(2).integers(0, 10, count, np.int32)


def _vae() -> Any:
    vae = VAE(latent_dim=LATENT_DIM)
    vae.compile(Adam(1e-3), jit_compile=False)
    return vae


def _mlp() -> Any:
    mlp = MLP(image_shape=(784,))
    _compile_classifier(mlp, Adam, from_logits=False)
    return mlp


def _players_adam(adam: Any) -> tuple[Any, Any]:
    return adam(2e-4, beta_1=0.5), adam(2e-4, beta_1=0.5)


def _compile_classifier(model: Any, adam: Any = keras.optimizers.Adam, *, from_logits: bool) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(adam(1e-3), loss=loss, jit_compile=False)


def _keras_step(model: Any, *batch: Any) -> Work:
    """Return one step of the function that `fit` runs, on a constant batch."""
    batch = batch if len(batch) > 1 else batch[0]
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    model.make_train_function()
    return lambda: model.train_function(batches)


def _interpreter(code: str) -> Work:
    command = [sys.executable, "-c", code]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return lambda: subprocess.run(command, env=quiet, check=True, capture_output=True)


def _check_size(ours: Any, theirs: int) -> None:
    """Raise an error if the networks differ in size."""
    count = sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights)
    if count != theirs:
        raise RuntimeError(
            f"{type(ours).__name__}: expected a peer with {count:,} parameters, got {theirs:,}. "
            "Change the network in torch_peers.py to the model's default architecture."
        )


def _torch_side(threads: int) -> ModuleType | None:
    try:
        torch_peers = importlib.import_module("torch_peers")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    torch_peers.use_threads(threads)
    return torch_peers


def _comparisons(names: Iterable[str], options: Options) -> Iterator[Comparison]:
    for name in names:
        yield from WORKLOADS[name](options)
        keras.backend.clear_session()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = command_line("Training with keras_dl against plain Keras and PyTorch.", WORKLOADS)
    parser.add_argument(
        "--threads", type=int, default=available_cores(), help="threads of each side (default: cores)"
    )
    parser.add_argument(
        "--torch-compile", action="store_true", help="add PyTorch's compiled VAE (needs a C++ compiler)"
    )
    parser.add_argument(
        "--nll-images", type=int, help="images whose likelihood is estimated (1000; quick: 40)"
    )
    parser.add_argument("--nll-samples", type=int, help="draws per image (1000; quick: 200)")
    asked = parser.parse_args(arguments)

    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    torch = _torch_side(asked.threads)
    if torch is None:
        print("PyTorch is not installed, so its rows are omitted. Run pip install --group benchmark.")
    options = Options(
        quick=asked.quick,
        torch=torch,
        compiled=asked.torch_compile,
        nll_images=asked.nll_images or (40 if asked.quick else 1000),
        nll_samples=asked.nll_samples or (200 if asked.quick else 1000),
    )
    effort = QUICK if asked.quick else Effort()
    comparisons = _comparisons(asked.only or WORKLOADS, options)
    run(comparisons, effort, environment(asked.threads, PACKAGES), asked.out)


if __name__ == "__main__":
    main()
