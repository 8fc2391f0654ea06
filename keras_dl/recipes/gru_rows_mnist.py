"""A GRU that reads MNIST's images row by row.

    keras-dl train gru-rows-mnist

Time: about 5 min on one CPU core. Result: a test accuracy of at least 98.8% (98.82% with seed 0).
"""

from keras_dl.models import SequenceClassifier
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import CLASSIFICATION

recipe = Recipe(
    name="gru-rows-mnist",
    summary="GRU that reads MNIST's images row by row",
    data="mnist",
    model=SequenceClassifier,
    task=CLASSIFICATION,
    settings={"cell": "gru", "units": 128, "dropout": 0.2, "learning_rate": 2e-3},
    batch_size=128,
    epochs=15,
    goals=(Goal("test_accuracy", at_least=0.988),),
)
