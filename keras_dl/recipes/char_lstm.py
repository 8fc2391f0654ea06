"""An LSTM language model of Shakespeare's characters.

    keras-dl train char-lstm

Time: about 20 min on one CPU core. Result with seed 0: 1.39 nats per character on the validation split and
1.52 on the test split, which is later text.
"""

from keras_dl.models import LanguageModel
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import NEXT_CHARACTER

recipe = Recipe(
    name="char-lstm",
    summary="LSTM language model of Shakespeare's characters",
    data="tiny_shakespeare",
    model=LanguageModel,
    task=NEXT_CHARACTER,
    load={"sequence_length": 64},
    settings={"cell": "lstm", "units": 512, "num_layers": 1, "dropout": 0.3, "learning_rate": 4e-3},
    batch_size=64,
    epochs=10,
    goals=(Goal("validation_nats_per_character", at_most=1.60),),
)
