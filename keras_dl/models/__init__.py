"""The models of the notes, one family per file or folder.

`Perceptron`, `GaussianNaiveBayes` and `LogisticRegression` compile themselves. A `VAE` takes only an
optimizer, a GAN one per player; `LanguageModel` has a default loss; the others are compiled as in Keras.
"""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

import keras_dl.optimizers  # noqa: F401 - registers the optimizers of saved files
from keras_dl.models.cnn import CNN
from keras_dl.models.gan.conditional_gan import ConditionalGAN
from keras_dl.models.gan.dcgan import DCGAN
from keras_dl.models.gan.gan import GAN
from keras_dl.models.generative import GaussianNaiveBayes, LogisticRegression
from keras_dl.models.keras_file import load_model
from keras_dl.models.mlp import MLP
from keras_dl.models.perceptron import Perceptron
from keras_dl.models.recurrent.language_model import LanguageModel
from keras_dl.models.recurrent.sequence import SequenceClassifier, SequenceRegressor
from keras_dl.models.vae.vae import VAE
from keras_dl.presets.pretrained import list_presets

__all__ = [
    "CNN",
    "DCGAN",
    "GAN",
    "MLP",
    "VAE",
    "ConditionalGAN",
    "GaussianNaiveBayes",
    "LanguageModel",
    "LogisticRegression",
    "Perceptron",
    "SequenceClassifier",
    "SequenceRegressor",
    "list_presets",
    "load_model",
]
