"""The base class of all models of this package: error reporting, saving and presets."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import keras
import tensorflow as tf

from keras_dl.models.batch_checks import MARK, checked_finite, given
from keras_dl.models.named_batches import unnamed
from keras_dl.models.saved_state import (
    check_format,
    check_path,
    load_seeds,
    save_seeds,
    warn_about_weights_file,
)
from keras_dl.pipeline_errors import reading_error
from keras_dl.presets.pretrained import load_preset
from keras_dl.replicas import weighed_replica

_SHUFFLE = 8  # the position of shuffle among the arguments of fit after x
_NO_EXAMPLES = "x: expected at least one example, got none. Check the filters and the split of the data."


def _unnamed(x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments of `fit` or `evaluate`, with the labels of a dict as y."""
    x, y = unnamed(x, args[0] if args else kwargs.get("y"))
    for name in ("sample_weight", "class_weight"):
        if (
            y is None and kwargs.get(name) is not None and hasattr(x, "shape")
        ):  # Keras would ignore the weights
            raise ValueError(
                f"{name}: expected none for inputs without labels, got {type(kwargs[name]).__name__}. Omit "
                "it, or pass labels if the model uses them."
            )
    if args:
        return x, y, *args[1:]
    if y is not None:
        kwargs["y"] = y
    return (x,)


class CheckedModel(keras.Model):
    """A `keras.Model` that reports a failed check as a `ValueError` of one paragraph.

    A model that has a preset can be loaded with trained weights.
    """

    jit_compile: Any
    train_function: Any
    test_function: Any
    predict_function: Any

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Return a trained model, with weights that are part of this package.

            >>> vae = VAE.from_preset("vae-digits")
            >>> images = vae.sample(16)

        It can predict, sample, be exported and be served; compile it for further training.

        Args:
            name: one of `keras_dl.models.list_presets()`.

        Returns:
            The model.

        Raises:
            LookupError: there is no such preset.
            TypeError: the preset is a model of another class.
            RuntimeError: the file of the weights was modified.
        """
        return load_preset(cls, name)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile like the saved model, and build the optimizer for its saved state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self._build_optimizer()

    def _build_optimizer(self) -> None:
        optimizer = getattr(self, "optimizer", None)  # missing before the model is compiled
        if optimizer is not None and self.built and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the model as `.keras`, with the optimizers and the state of all random generators.

        Raises:
            ValueError: the path ends in .h5, a format that cannot be loaded.
        """
        check_path(filepath)
        super().save(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; raise `ValueError` if Keras is writing HDF5."""
        check_format()
        return super().get_config()  # type: ignore[no-any-return]

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save as `keras.Model.save_weights` does; warn once that training cannot resume from such a file."""
        super().save_weights(filepath, *args, **kwargs)
        warn_about_weights_file(filepath)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Load as `keras.Model.load_weights` does, and the optimizer state if the model is compiled."""
        self._build_optimizer()
        super().load_weights(filepath, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        save_seeds(self, store)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(load_seeds(self, store))

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train as `keras.Model.fit` does; batches may be dicts `{"image": ..., "label": ...}`.

        A `tf.data.Dataset` has its own order, about which Keras's warning is suppressed.
        """
        if isinstance(x, tf.data.Dataset) and len(args) < _SHUFFLE:
            kwargs.setdefault("shuffle", False)
        if isinstance(validation := kwargs.get("validation_data"), Mapping | tf.data.Dataset):
            inputs, labels = unnamed(validation)
            kwargs["validation_data"] = inputs if labels is None else (inputs, labels)
        history = super().fit(*_unnamed(x, args, kwargs), **kwargs)
        if history.epoch and not history.history:
            raise ValueError(_NO_EXAMPLES)
        return history

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does; batches may be dicts as in `fit`."""
        figures = super().evaluate(*_unnamed(x, args, kwargs), **kwargs)
        if isinstance(figures, list | dict) and not figures:
            raise ValueError(_NO_EXAMPLES)
        return figures

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Predict as `keras.Model.predict` does; batches may be dicts as in `fit`."""
        return super().predict(unnamed(x)[0], *args, **kwargs)

    def checked_batch(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return inputs and labels; subclasses override this to check them.

        Args:
            x: inputs.
            y: labels, or None for `predict`.

        Returns:
            The same tensors.
        """
        return x, y

    def checked_data(self, data: Any) -> Any:
        """Return a checked batch of `fit` or `evaluate`.

        Args:
            data: inputs and labels, and optionally weights of the examples.

        Returns:
            The input of `_learn` and `_judge`.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, y = self.checked_batch(x, given(y))
        return checked_finite(inputs=x, label=y, sample_weight=sample_weight)

    def checked_query(self, data: Any) -> Any:
        """Return a checked batch of `predict`, the input of `_answer`."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.checked_batch(x, None)[0], None, None

    def _learn(self, data: Any) -> Any:
        """Train on a batch of `checked_data`, and return the metrics so far."""
        return super().train_step(data)

    def _judge(self, data: Any) -> Any:
        """Evaluate a batch of `checked_data`, and return the metrics so far."""
        return super().test_step(data)

    def _answer(self, data: Any) -> Any:
        """Return the outputs for a batch of `checked_query`."""
        return super().predict_step(data)

    def train_step(self, data: Any) -> Any:
        """Train on a batch as in Keras; a rejected batch does not change any weight."""
        return self._compiled(self._learn)(self.checked_data(data))

    def test_step(self, data: Any) -> Any:
        return self._compiled(self._judge)(self.checked_data(data))

    def predict_step(self, data: Any) -> Any:
        return self._compiled(self._answer)(self.checked_query(data))

    def _compiled(self, step: Callable[..., Any]) -> Callable[..., Any]:
        # XLA drops assertions, so it compiles only the operations after the checks.
        return tf.function(step, jit_compile=True) if self.jit_compile else step

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Compute as `keras.Model.compute_loss` does; weight replicas by their numbers of examples."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return weighed_replica(loss, x) if training else loss

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            self._check_accumulation()
            with self._uncompiled():
                super().make_train_function(force)
            self.train_function = self._with_readable_errors("train_function")
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.test_function is None or force:
            with self._uncompiled():
                super().make_test_function(force)
            self.test_function = self._with_readable_errors("test_function")
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        if self.predict_function is None or force:
            with self._uncompiled():
                super().make_predict_function(force)
            self.predict_function = self._with_readable_errors("predict_function")
        return self.predict_function

    def _check_accumulation(self) -> None:
        optimizers = [value for value in vars(self).values() if isinstance(value, keras.Optimizer)]
        inner = [getattr(each, "inner_optimizer", each) for each in optimizers]
        steps = [each.gradient_accumulation_steps for each in inner if each.gradient_accumulation_steps]
        strategy = self._distribute_strategy  # None for one device without a strategy
        if steps and strategy is not None and strategy.extended._use_merge_call():
            raise ValueError(
                "gradient_accumulation_steps: expected None under this strategy, which does not support it "
                f"in Keras, got {steps[0]}. Increase batch_size instead, which is divided among the replicas."
            )

    @contextmanager
    def _uncompiled(self) -> Iterator[None]:
        """Build functions without XLA within the block; it compiles only the inside of the steps."""
        compiled = self.jit_compile
        self.jit_compile = False
        try:
            yield
        finally:
            self.jit_compile = compiled

    def _with_readable_errors(self, name: str) -> Callable[..., Any]:
        function = getattr(self, name)

        @functools.wraps(function)
        def wrapped(*args: Any) -> Any:
            try:
                return function(*args)
            except tf.errors.InvalidArgumentError as error:
                _, mark, report = error.message.partition(f"[{MARK}]")
                if (broken := reading_error(error)) is not None:
                    raise broken from None
                if not mark:
                    raise
                line = report.partition("\n")[0]
                raise ValueError("".join(re.findall(r"\[([^\]]*)\]", line))) from None
            except (TypeError, ValueError):
                setattr(self, name, None)  # an incompletely traced function cannot be traced again
                raise

        return wrapped
