"""A convolutional VAE on the embedded digits.

    keras-dl train vae-digits

About 15 seconds on 2 CPU cores.
"""

from keras_dl.models import VAE
from keras_dl.recipes.recipe import Recipe
from keras_dl.recipes.tasks import LATENT_IMAGES

recipe = Recipe(
    name="vae-digits",
    summary="Variational autoencoder of the embedded 8x8 digits",
    data="digits",
    model=VAE,
    task=LATENT_IMAGES,
    settings={"latent_dim": 8, "learning_rate": 3e-3},
    batch_size=64,
    epochs=60,
)
