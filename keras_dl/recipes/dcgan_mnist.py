"""A DCGAN on MNIST.

    keras-dl train dcgan-mnist

Time: about 15 min on one CPU core. Result: seeds 0, 1 and 2 cover the ten classes, at Frechet LeNet distances
of 5.4, 7.1 and 5.9. The goal is the 44.2 of vae-mnist; the floor, the distance of real images, is 8 to 11
times lower.
"""

from keras_dl.models import DCGAN
from keras_dl.optimizers import adam_for_each_player
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import ADVERSARIAL

recipe = Recipe(
    name="dcgan-mnist",
    summary="Deep convolutional GAN of MNIST, 100 uniform numbers in",
    data="mnist",
    model=DCGAN,
    task=ADVERSARIAL,
    optimizer=adam_for_each_player,
    settings={
        "filters": (32, 64, 128),
        "ema_momentum": 0.999,
        "generator_learning_rate": 2e-3,
        "discriminator_learning_rate": 2e-3,
        "schedule": "cosine",
    },
    batch_size=64,
    epochs=8,
    goals=(Goal("classes_covered", at_least=10), Goal("fld", at_most=44.2)),  # the VAE's
)
