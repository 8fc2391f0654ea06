"""Training runs as values."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_dl.data import Description, Shard, describe, load, shard_batches, stream, streamed_files
from keras_dl.optimizers import adam
from keras_dl.recipes.settings import REQUIRED, Parameter, parameters_of, parsed
from keras_dl_export.arguments import check_int

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

_SPLITS = ("train", "validation", "test")
_STREAM = "stream"  # the setting that reads images from their files in every pass
ARRAYS = "arrays"  # the name of unnamed data
# Arguments of a model that are determined by the data or the run, not by the user.
_FACTS = ("image_shape", "num_classes", "num_features", "vocabulary", "seed")


@dataclass(frozen=True)
class Splits:
    """The data of a run.

    Attributes:
        train, validation, test: batches.
        description: the description of the data set.
        train_in_order: a function that reads the training split again, in the same order in every pass.
        shared: a function that reads training and validation split for the replicas of one worker, in an
            endless sequence of passes; None if unsupported.
        files: identity of the files from which the training split is streamed; None without streaming.
    """

    train: Any
    validation: Any
    test: Any
    description: Description
    train_in_order: Callable[[], Any]
    shared: Callable[[Shard], tuple[Any, Any]] | None = None
    files: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on the test split.

    Attributes:
        figures: name of a metric -> value.
        arrays: arrays for reports, such as a confusion matrix.
        pictures: file name without suffix -> figure.
    """

    figures: Mapping[str, float]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    pictures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A kind of training: its batches, loss, evaluation and pictures.

    Attributes:
        labels: whether the batches contain labels.
        compile: arguments of `model.compile` other than the optimizers: loss and metrics.
        evaluate: (model, splits) -> the evaluation on the test split.
        draw: (model, count, seed) -> a picture of `count` samples, for generative models.
        pictures: splits -> the pictures to draw periodically and at the end: name -> (model -> figure).
    """

    labels: bool
    compile: Mapping[str, Any]
    evaluate: Callable[[Any, Splits], Evaluation]
    draw: Callable[[Any, int, int], Figure] | None = None
    pictures: Callable[[Splits], Mapping[str, Callable[[Any], Figure]]] = lambda splits: {}


@dataclass(frozen=True)
class Goal:
    """A bound on a test metric.

    Attributes:
        figure: the name of the metric.
        at_least: the lowest sufficient value, if higher is better.
        at_most: the highest sufficient value, if lower is better.
    """

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(
                f"Goal({self.figure!r}): expected either at_least or at_most, got {self.at_least} and "
                f"{self.at_most}. Pass at_least if higher is better, else at_most."
            )

    def reached(self, figures: Mapping[str, float]) -> bool:
        """Return whether the metric is within its bound."""
        value = figures[self.figure]
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All inputs that determine the outcome of a training run, so that it can be repeated.

    The arguments of `model` that are properties of the data (`image_shape`, `num_classes`, `num_features`,
    `vocabulary`) are taken from its description; `seed` is that of the run. All other arguments of `model`,
    those of `optimizer` and the options of `load` are settings: `settings` contains those of the recipe, and
    `configured(settings=...)`, or `--set` on the command line, changes them.

    Attributes:
        name: the name of the recipe in `keras-dl train`.
        summary: one line.
        data: a source of `keras_dl.data.load`; or, for generated data, a function (split, batch_size, *,
            seed, **options) -> batches.
        model: a model class, or a function that returns a model.
        task: the kind of training.
        optimizer: (steps of the whole training, **settings) -> an optimizer, or a dict of optimizers by their
            names in `model.compile`.
        load: options of `keras_dl.data.load`, or of that function.
        settings: arguments of `model` and `optimizer` that differ from their defaults.
        batch_size: examples per step.
        epochs: passes over the training split.
        seed: seed of the initial weights, the order of the data and all noise.
        precision: Keras's dtype policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        patience: the number of epochs without a lower validation loss after which training stops and the best
            model is restored.
        goals: bounds on the test metrics.
    """

    name: str
    summary: str
    data: Any
    model: Callable[..., Any]
    task: Task
    optimizer: Callable[..., Any] = adam
    load: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 128
    epochs: int = 10
    seed: int = 0
    precision: Precision = "float32"
    patience: int | None = None
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        for name in ("load", "settings"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for name, least in (("batch_size", 1), ("epochs", 1), ("seed", 0)):
            object.__setattr__(self, name, check_int(name, getattr(self, name), least))
        self._check_known(self.settings)

    def configured(
        self,
        *,
        data: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        precision: Precision | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """Return this recipe with changes; arguments that are None change nothing.

        Args:
            data: another source of `keras_dl.data.load`.
            epochs: passes over the training split.
            batch_size: examples per step.
            seed: seed of all random numbers.
            precision: Keras's dtype policy.
            settings: arguments of the model, the optimizer and the loading; text is converted to their types.

        Raises:
            ValueError: a setting is unknown, or its text is not a value of its type.
        """
        settings = dict(settings or {})
        self._check_known(settings)
        valid = self.valid_settings()
        values = {
            name: parsed(name, value, valid[name].annotation) if isinstance(value, str) else value
            for name, value in settings.items()
        }
        options = _options_of_load(self)
        patience = values.pop("patience", None)
        changes: dict[str, Any] = {
            "data": data,
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": seed,
            "precision": precision,
            "patience": patience,
            "load": {**self.load, **{name: values[name] for name in values if name in options}},
            "settings": {**self.settings, **{name: values[name] for name in values if name not in options}},
        }
        if data is not None and not (isinstance(data, str) and data == self.data):
            changes["goals"] = ()  # the goals are for the data of the recipe
        return dataclasses.replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )

    def valid_settings(self) -> dict[str, Parameter]:
        """Return the valid settings: name -> type and default."""
        parameters = {
            **_settable(self.model),
            **_settable(self.optimizer, skip=("steps",)),
            **_options_of_load(self),
        }
        parameters["patience"] = Parameter(int | None, None)
        given = self.given_settings()
        return {
            name: Parameter(parameter.annotation, given.get(name, parameter.default))
            for name, parameter in parameters.items()
        }

    def given_settings(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        patience = {} if self.patience is None else {"patience": self.patience}
        return {**self.load, **self.settings, **patience}

    def splits(self, epoch: int = 0) -> Splits:
        """Return the data, with the order of the training split starting at that epoch."""
        if callable(self.data):
            make = functools.partial(self.data, batch_size=self.batch_size, seed=self.seed, **self.load)
            description = Description(source_name(self.data), num_examples={})
            train, validation, test = map(make, _SPLITS)
            return Splits(
                train,
                validation,
                test,
                description,
                functools.partial(make, "train"),
                lambda shard: (
                    shard_batches(train.repeat(), shard),
                    shard_batches(validation.repeat(), shard),
                ),
            )
        if self.load.get(_STREAM):
            return self._streamed(epoch)
        options = {name: value for name, value in self.load.items() if name != _STREAM}
        read = functools.partial(
            load, self.data, _SPLITS, self.batch_size, labels=self.task.labels, seed=self.seed, **options
        )
        described = {name: value for name, value in self.load.items() if name in parameters_of(describe)}
        train, validation, test = read(epoch=epoch)
        return Splits(
            train,
            validation,
            test,
            describe(self.data, labels=self.task.labels, **described),
            lambda: read(shuffle=False)[0],
            lambda shard: read(epoch=epoch, shard=shard)[:2],
        )

    def _streamed(self, epoch: int) -> Splits:
        """Return the data, with the training split read from its files in every pass."""
        options = {name: value for name, value in self.load.items() if name != _STREAM}
        given = {"labels": self.task.labels, "seed": self.seed, **options}
        described = {name: value for name, value in options.items() if name in parameters_of(describe)}
        description = describe(self.data, **described)
        carved = "validation" not in description.num_examples
        part, unseen = ("train[:90%]", "train[90%:]") if carved else ("train", "validation")
        train = functools.partial(stream, self.data, part, self.batch_size, shuffle=True, **given)
        read = functools.partial(load, self.data, (unseen, "test"), self.batch_size, shuffle=False, **given)
        validation, test = read()
        return Splits(
            train(epoch=epoch),
            validation,
            test,
            description,
            lambda: train(shuffle=False),
            lambda shard: (train(epoch=epoch, shard=shard), read(shard=shard)[0]),
            files=streamed_files(self.data, data_dir=options.get("data_dir")),
        )

    def build(self, splits: Splits) -> Any:
        """Return the model, compiled for training on these data."""
        parameters = parameters_of(self.model)
        facts = {name: self._fact(name, splits.description) for name in _FACTS if name in parameters}
        facts = {name: value for name, value in facts.items() if value is not None}
        model = self.model(**facts, **_chosen(self.settings, _settable(self.model)))
        if not model.built:
            features = splits.train.element_spec[0] if self.task.labels else splits.train.element_spec
            model(np.zeros((1, *features.shape[1:]), features.dtype.as_numpy_dtype))
        optimizer = self.optimizer(
            self.epochs * len(splits.train), **_chosen(self.settings, _settable(self.optimizer))
        )
        optimizers = optimizer if isinstance(optimizer, dict) else {"optimizer": optimizer}
        model.compile(**optimizers, **self.task.compile, jit_compile=_jit(model))
        single = model.optimizer  # None if a model has several optimizers, which it builds itself
        if single is not None and not single.built:  # a checkpoint may be restored before the first step
            single.build(model.trainable_variables)
        return model

    def _fact(self, name: str, description: Description) -> Any:
        value = self.seed if name == "seed" else getattr(description, name)
        if value is None and parameters_of(self.model)[name].default is not None:
            expected = {
                "image_shape": "images",
                "num_classes": "labeled classes",
                "num_features": "rows of features",
                "vocabulary": "text",
            }[name]
            raise ValueError(
                f"data: expected {expected} for the recipe {self.name!r}, got {description.name}, which has "
                "none. Pass another data set, or use another recipe (`keras-dl recipes` lists them)."
            )
        return value

    def _check_known(self, settings: Mapping[str, Any]) -> None:
        valid = self.valid_settings()
        for name in settings:
            if name not in valid:
                listed = ", ".join(
                    key if parameter.default is REQUIRED else f"{key}={parameter.default!r}"
                    for key, parameter in sorted(valid.items())
                )
                raise ValueError(
                    f"settings: the recipe {self.name!r} has no setting {name!r}. Pass one of its settings, "
                    f"listed with their values: {listed}."
                )


def _settable(function: Callable[..., Any], skip: tuple[str, ...] = ()) -> dict[str, Parameter]:
    return {
        name: parameter for name, parameter in parameters_of(function).items() if name not in (*_FACTS, *skip)
    }


def _options_of_load(recipe: Recipe) -> dict[str, Parameter]:
    """Return the options of `load` that apply to this model, or those of the function of the data."""
    if callable(recipe.data):
        options = parameters_of(recipe.data)
        return {name: options[name] for name in options if name not in ("split", "batch_size", "seed")}
    takes = parameters_of(recipe.model)
    names = {*recipe.load}
    names |= {"image_size", "on_corrupt"} if "image_shape" in takes else set()
    names |= (
        {"label_column", "separator", "encoding", "drop", "max_classes"} if "num_classes" in takes else set()
    )
    names |= {"sequence_length", "encoding"} if "vocabulary" in takes else set()
    options = parameters_of(load)
    found = {name: options[name] for name in names if name in options}
    return {**found, _STREAM: Parameter(bool, False)} if "image_shape" in takes else found


def source_name(data: Any) -> str:
    """Return the name of a source in records: its name or path, the name of a function, or `arrays`."""
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    return str(data.__name__) if callable(data) else ARRAYS


def _chosen(settings: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in parameters}


def _jit(model: Any) -> bool | str:
    """Return whether to use XLA: it is slower on CPUs, and has no fused recurrent kernel on GPUs."""
    import tensorflow as tf

    recurrent = any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers())
    return False if recurrent or not tf.config.list_physical_devices("GPU") else "auto"
