"""A GRU language model of Shakespeare's characters.

    keras-dl train char-gru

Time: about 45 min on one shared CPU core. Result with seed 0: 1.46 nats per character on the validation split
and 1.57 on the test split, which is later text, with as many parameters as `char-lstm` and `char-rnn`.
"""

from keras_dl.models import LanguageModel
from keras_dl.recipes.recipe import Recipe
from keras_dl.recipes.tasks import NEXT_CHARACTER

recipe = Recipe(
    name="char-gru",
    summary="GRU language model of Shakespeare's characters",
    data="tiny_shakespeare",
    model=LanguageModel,
    task=NEXT_CHARACTER,
    load={"sequence_length": 64},
    settings={"cell": "gru", "units": 594, "num_layers": 1, "dropout": 0.3, "learning_rate": 4e-3},
    batch_size=64,
    epochs=10,
)
