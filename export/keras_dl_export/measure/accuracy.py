"""The accuracy of a file on labeled data, compared with that of its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_dl_export.dtypes import format_shape
from keras_dl_export.endpoints import Endpoint
from keras_dl_export.errors import AccuracyError
from keras_dl_export.lowering import mean_noise
from keras_dl_export.names import by_word
from keras_dl_export.predictor import Predictor
from keras_dl_export.results import Accuracy
from keras_dl_export.runner import Runner
from keras_dl_export.specs import DEFAULT_ENDPOINT, Spec

_MOST_AT_ONCE = 256

Arrays = Mapping[str, NDArray[Any]]


class AccuracyTest:
    """A test with labeled data, the model's accuracy on them, and the largest allowed drop."""

    def __init__(self, endpoints: Mapping[str, Endpoint], data: Any, most: float | None) -> None:
        """Measure the model.

        Args:
            endpoints: the model's endpoints; `serving_default` is measured, otherwise the first.
            data: a pair (inputs, labels) of arrays, with the inputs by name if there are several; or a
                tf.data pipeline or another iterable of such batches. Labels are classes, or one-hot.
            most: the largest allowed drop as a fraction; None for any.

        Raises:
            ValueError: data or outputs without a defined accuracy, or a drop outside [0, 1].
            TypeError: data of the wrong type.
        """
        if most is not None and not (isinstance(most, int | float) and 0 <= most <= 1):
            raise ValueError(f"max_accuracy_drop: expected a fraction from 0 to 1, got {most!r}.")
        self.endpoint = DEFAULT_ENDPOINT if DEFAULT_ENDPOINT in endpoints else next(iter(endpoints))
        endpoint = endpoints[self.endpoint]
        self._inputs = endpoint.inputs
        self._most = most
        self._data = data if isinstance(data, Iterable) and iter(data) is not data else _listed(data)
        self._output = ""
        self._before, self._examples = self._score(Predictor(endpoint), endpoint.inputs)

    def judge(self, runner: Runner, label: str) -> Accuracy:
        """Measure a written file.

        Args:
            runner: its endpoint.
            label: the name of the file in errors.

        Raises:
            AccuracyError: the drop is larger than allowed.
        """
        after, _ = self._score(runner.call_in_floats, runner.inputs)
        accuracy = Accuracy(self.endpoint, self._output, self._before, after, self._examples)
        if self._most is not None and accuracy.drop > self._most + 1e-9:
            raise AccuracyError(
                f"{label}: endpoint {self.endpoint!r}, output {self._output!r}: the accuracy on "
                f"{self._examples} examples falls from {self._before:.4f} to {after:.4f}, by "
                f"{accuracy.drop:.4f}, while {self._most:g} is allowed. Use a less coarse quantization, such "
                "as 'float16', or more representative data."
            )
        return accuracy

    def _score(self, ask: Callable[[Arrays], Arrays], specs: Mapping[str, Spec]) -> tuple[float, int]:
        """Return the share of correct labels, and the number of labels."""
        fixed = [spec.shape[0] for spec in specs.values() if spec.shape and isinstance(spec.shape[0], int)]
        size = int(fixed[0]) if fixed else _MOST_AT_ONCE
        right = count = 0
        for inputs, labels in self._batches():
            for start in range(0, len(labels), size):
                truth = labels[start : start + size]
                # A fixed batch is padded with its first examples, whose outputs are discarded.
                rows = np.arange(start, start + (size if fixed else len(truth)))
                rows[len(truth) :] = start
                answers = ask({name: array[rows] for name, array in inputs.items()})
                self._output = self._output or _judged(answers, labels[rows], self.endpoint)
                right += int(np.sum(_classes(answers[self._output], truth.ndim)[: len(truth)] == truth))
                count += truth.size
        if not count:
            raise ValueError("accuracy_data: expected at least one example, got none.")
        return right / count, count

    def _batches(self) -> Iterator[tuple[dict[str, NDArray[Any]], NDArray[Any]]]:
        for batch in [self._data] if _is_pair(self._data) else self._data:
            if not _is_pair(batch):
                raise TypeError(
                    "accuracy_data: expected a pair (inputs, labels), or batches of such pairs, got "
                    f"{type(batch).__name__}."
                )
            given, labels = batch
            if not isinstance(given, Mapping):
                if len(self._inputs) != 1:
                    names = ", ".join(self._inputs)
                    raise ValueError(f"accuracy_data: expected dicts with {names}, got single arrays.")
                given = {next(iter(self._inputs)): given}
            given = by_word(given, self._inputs)
            if missing := [name for name in self._inputs if name not in given]:
                names = ", ".join(self._inputs)
                raise ValueError(f"accuracy_data: expected {names}, got no {', '.join(missing)}.")
            inputs = {
                name: spec.with_free_batch().conform(f"accuracy_data[{name!r}]", given[name])
                for name, spec in self._inputs.items()
            }
            yield inputs, _labels(np.asarray(labels), inputs)


def accuracy_test(
    endpoints: Mapping[str, Endpoint], data: Any, most: float | None, random: str
) -> AccuracyTest | None:
    """Return the test defined by the arguments `accuracy_data` and `max_accuracy_drop`, or None.

    Raises:
        ValueError: a drop without data, and as for `AccuracyTest`.
        TypeError: data of the wrong type.
    """
    if data is None:
        if most is not None:
            raise ValueError(
                f"max_accuracy_drop: expected None without data, got {most!r}. Pass accuracy_data."
            )
        return None
    with mean_noise() if random == "mean" else contextlib.nullcontext():
        return AccuracyTest(endpoints, data, most)


def _is_pair(data: Any) -> bool:
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(part, Mapping) or hasattr(part, "shape") for part in data)
    )


def _listed(data: Any) -> list[Any]:
    """Return a list of data that can be read only once."""
    if not isinstance(data, Iterable):
        raise TypeError(
            "accuracy_data: expected a pair (inputs, labels) or a pipeline of such pairs, got "
            f"{type(data).__name__}."
        )
    return list(data)


def _labels(labels: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
    """Return labels as classes: one-hot labels become their argmax, and a last axis of size 1 is removed."""
    if labels.dtype.kind == "f":
        one_hot = labels.ndim > 1 and labels.shape[-1] > 1
        labels = labels.argmax(axis=-1) if one_hot else labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.dtype.kind not in "iub" or labels.ndim < 1:
        raise ValueError(
            f"accuracy_data: expected labels that are classes or one-hot, got {labels.dtype} of shape "
            f"{format_shape(labels.shape)}."
        )
    for name, array in inputs.items():
        if len(array) != len(labels):
            raise ValueError(
                f"accuracy_data[{name!r}]: expected as many examples as labels, got {len(array)} and "
                f"{len(labels)}."
            )
    return labels


def _judged(answers: Arrays, labels: NDArray[Any], endpoint: str) -> str:
    for name, array in answers.items():
        if array.dtype.kind in "iu" and array.shape == labels.shape:
            return name
    for name, array in answers.items():
        if array.dtype.kind not in "iubSUO" and array.shape[:-1] == labels.shape and array.shape[-1] > 1:
            return name
    got = ", ".join(f"{name} {array.dtype}{format_shape(array.shape)}" for name, array in answers.items())
    shape = format_shape(labels.shape)
    raise ValueError(
        f"accuracy_data: expected {endpoint!r} to have an integer output of the labels' shape {shape} or "
        f"scores with one axis more, got {got}."
    )


def _classes(answer: NDArray[Any], rank: int) -> NDArray[Any]:
    return answer if answer.ndim == rank else answer.argmax(axis=-1)
