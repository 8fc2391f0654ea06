"""A multilayer perceptron on the embedded digits.

    keras-dl train mlp-digits

Time: about 5 s on 2 CPU cores. Result: a test accuracy of at least 95% (359 scans).
"""

from keras_dl.models import MLP
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import CLASSIFICATION

recipe = Recipe(
    name="mlp-digits",
    summary="Fully connected classifier of the embedded 8x8 digits",
    data="digits",
    model=MLP,
    task=CLASSIFICATION,
    settings={"dropout": 0.2, "learning_rate": 3e-3},
    batch_size=64,
    epochs=30,
    goals=(Goal("test_accuracy", at_least=0.95),),
)
