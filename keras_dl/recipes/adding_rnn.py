"""A vanilla RNN on the adding problem of `adding-gru`, which it does not learn.

    keras-dl train adding-rnn

Time: about 10 min on one CPU core. Result: a mean squared error of 0.171 with seed 0, as of predicting the
mean.
"""

import dataclasses

from keras_dl.recipes import adding_gru

recipe = dataclasses.replace(
    adding_gru.recipe,
    name="adding-rnn",
    summary="Vanilla RNN on the adding problem of 600 steps, which it cannot learn",
    settings={**adding_gru.recipe.settings, "cell": "rnn", "memory_steps": None, "learning_rate": 1e-3},
    goals=(),
)
