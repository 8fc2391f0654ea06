"""Language modeling of characters, and regression of sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_dl.recipes.recipe import Evaluation, Splits, Task
from keras_dl.reports import figures

_LINE = 400  # characters of the text drawn during training


def _evaluate_text(model: Any, splits: Splits) -> Evaluation:
    """Evaluate nats and bits per character of the whole texts, given all previous characters."""
    validation, test = (
        model.nats_per_character(_text(model, part)) for part in (splits.validation, splits.test)
    )
    return Evaluation(
        {
            "test_nats_per_character": test,
            "test_bits_per_character": test / math.log(2),
            "validation_nats_per_character": validation,
        }
    )


def _text(model: Any, batches: Any) -> str:
    """Return the text of the windows of unshuffled batches."""
    windows = np.concatenate([tokens for tokens, _ in batches.as_numpy_iterator()])
    return str(model.decode(windows.reshape(-1)))


def _text_pictures(splits: Splits) -> dict[str, Callable[[Any], Figure]]:
    return {"samples": lambda model: _draw_text(model, _LINE, 0)}


def _draw_text(model: Any, count: int, seed: int) -> Figure:
    beginning = "\n" if "\n" in model.vocabulary else model.vocabulary[0]
    text = model.generate(beginning, count, temperature=0.8, seed=seed)
    return figures.text_page(text.strip("\n"), title=f"{count} characters drawn at temperature 0.8")


NEXT_CHARACTER = Task(
    labels=True, compile={}, evaluate=_evaluate_text, draw=_draw_text, pictures=_text_pictures
)


def _evaluate_numbers(model: Any, splits: Splits) -> Evaluation:
    """Evaluate the mean squared error, and that of always predicting the mean."""
    truth = np.concatenate([target for _, target in splits.test.as_numpy_iterator()])
    answers = model.predict(splits.test.map(lambda sequence, _: sequence), verbose=0)
    error = float(np.mean(np.square(answers - truth)))
    return Evaluation(
        figures={"test_mse": error, "chance_mse": float(truth.var())},
        pictures={
            "answers": figures.answers(
                truth.ravel(), answers.ravel(), title=f"Mean squared error {error:.2g}"
            )
        },
    )


REGRESSION = Task(labels=True, compile={"loss": "mse"}, evaluate=_evaluate_numbers)
