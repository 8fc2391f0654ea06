"""The kinds of training: their evaluation on the test split and their pictures."""

from keras_dl.recipes.tasks.adversarial_images import ADVERSARIAL, CONDITIONAL_ADVERSARIAL
from keras_dl.recipes.tasks.classification import CLASSIFICATION
from keras_dl.recipes.tasks.latent_images import LATENT_IMAGES, latent_images
from keras_dl.recipes.tasks.sequences import NEXT_CHARACTER, REGRESSION

__all__ = [
    "ADVERSARIAL",
    "CLASSIFICATION",
    "CONDITIONAL_ADVERSARIAL",
    "LATENT_IMAGES",
    "NEXT_CHARACTER",
    "REGRESSION",
    "latent_images",
]
