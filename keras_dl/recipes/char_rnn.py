"""A vanilla RNN language model of Shakespeare's characters.

    keras-dl train char-rnn

Time: about 20 min on one shared CPU core. Result with seed 0: 1.97 nats per character on the validation split
and 2.07 on the test split, which is later text, with as many parameters as `char-lstm` and `char-gru`.
"""

from keras_dl.models import LanguageModel
from keras_dl.recipes.recipe import Recipe
from keras_dl.recipes.tasks import NEXT_CHARACTER

recipe = Recipe(
    name="char-rnn",
    summary="Vanilla RNN language model of Shakespeare's characters",
    data="tiny_shakespeare",
    model=LanguageModel,
    task=NEXT_CHARACTER,
    load={"sequence_length": 64},
    settings={"cell": "rnn", "units": 747, "num_layers": 1, "dropout": 0.3, "learning_rate": 1e-3},
    batch_size=64,
    epochs=10,
)
