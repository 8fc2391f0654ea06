"""A GRU that adds two numbers marked among 600.

    keras-dl train adding-gru

The two marked steps are at random positions: the target depends on inputs hundreds of steps apart.
Time: about 20 min on one CPU core. Result: a mean squared error below 1e-3 (5.7e-5 with seed 0), most of the
progress in the first epoch. Always predicting the mean has an error of 1/6, which the vanilla RNN
(`adding-rnn`) does not improve on.
"""

from typing import Any, Literal

from keras_dl.data import adding_problem
from keras_dl.models import SequenceRegressor
from keras_dl.recipes.recipe import Goal, Recipe
from keras_dl.recipes.tasks import REGRESSION

_HELD_OUT = 1_000  # examples of the validation split, and of the test split


def adding(
    split: Literal["train", "validation", "test"],
    batch_size: int,
    *,
    length: int = 600,
    num_examples: int = 50_000,
    seed: int = 0,
) -> Any:
    """Return the adding problem of that length; `num_examples` is for the training split."""
    count = num_examples if split == "train" else _HELD_OUT
    return adding_problem(split, batch_size, length=length, num_examples=count, seed=seed)


recipe = Recipe(
    name="adding-gru",
    summary="GRU on the adding problem of 600 steps",
    data=adding,
    model=SequenceRegressor,
    task=REGRESSION,
    settings={
        "cell": "gru",
        "units": 64,
        "memory_steps": 600,
        "learning_rate": 5e-3,
        "warmup": 0.05,
    },
    batch_size=64,
    epochs=6,
    goals=(Goal("test_mse", at_most=1e-3),),
)
