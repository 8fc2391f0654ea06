"""A convolutional VAE on MNIST.

    keras-dl train vae-mnist

About 10 minutes on 2 CPU cores.
"""

from keras_dl.models import VAE
from keras_dl.recipes.recipe import Recipe
from keras_dl.recipes.tasks import LATENT_IMAGES

recipe = Recipe(
    name="vae-mnist",
    summary="Variational autoencoder of MNIST",
    data="mnist",
    model=VAE,
    task=LATENT_IMAGES,
    settings={"latent_dim": 16},
    batch_size=128,
    epochs=10,
)
