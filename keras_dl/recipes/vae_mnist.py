"""A VAE on MNIST.

    keras-dl train vae-mnist

Time: about 40 min on one CPU core, a third of it for the likelihood of the test images. Result with seed 0:
86.35 nats (5,000 draws for each of the 10,000 images, binarized once with seed 0); 17 of the 50 latents are
active.
"""

from keras_dl.models import VAE
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import latent_images

recipe = Recipe(
    name="vae-mnist",
    summary="Variational autoencoder of binarized MNIST, 50 latents",
    data="mnist",
    model=VAE,
    task=latent_images(nll_samples=5000),
    settings={
        "latent_dim": 50,
        "architecture": "mlp",
        "units": (400, 400),
        "activation": "silu",
        "dynamic_binarization": True,
        "learning_rate": 2e-3,
        "warmup": 0.05,
        "clipnorm": 30.0,
    },
    batch_size=32,
    epochs=100,
    goals=(Goal("test_nll", at_most=87.5),),
)
