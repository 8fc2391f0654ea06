"""The perceptron and its learning rule."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers.heaviside import Heaviside
from keras_dl.models.batch_checks import (
    checked_classes,
    checked_finite,
    checked_shape,
    num_features_of,
    unweighted,
)
from keras_dl.models.checked_model import CheckedModel
from keras_dl.models.model_options import ModelOptions
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


@keras.saving.register_keras_serializable("keras_dl")
class Perceptron(CheckedModel):
    """A linear threshold unit, trained with the perceptron rule.

        f(x) = 1 if w.x + b >= 0 else 0

    The learning rule is applied to one example after the other:

        w <- w + eta (y - f(x)) x,  b <- b + eta (y - f(x))

    It changes nothing if f(x) = y. If a hyperplane separates the classes with margin gamma and all examples
    have norms of at most R (including the constant 1 that b multiplies), the rule makes at most (R / gamma)^2
    mistakes in total (Novikoff). If there is none, as for XOR, it does not terminate.

    `compile` is not needed. `fit` and `evaluate` report `accuracy` and the number of `mistakes`, which in
    training are counted before each correction: after an epoch without mistakes, the weights are constant.

    Args:
        num_features: D; if given, the model is built at once, otherwise on its first batch.
        learning_rate: eta. Because w and b start at 0, it scales both and does not change the outputs.

    Input: features (B, D); labels (B,), 0 or 1. Output: 0 or 1, (B,).

    Raises:
        ValueError: an argument is not positive; in training, a label is neither 0 nor 1, or there are several
            replicas.

    Reference: notes 1.1; Rosenblatt, The perceptron (1958); Novikoff, On convergence proofs for perceptrons
    (1962).
    """

    def __init__(
        self, num_features: int | None = None, *, learning_rate: float = 1.0, **kwargs: Unpack[ModelOptions]
    ) -> None:
        super().__init__(**kwargs)
        if not learning_rate > 0:
            raise ValueError(
                f"learning_rate: expected a positive number, got {learning_rate!r}. Omit it for 1."
            )
        self.num_features = None if num_features is None else check_int("num_features", num_features)
        self.learning_rate = learning_rate
        self.threshold = Heaviside(dtype="float32")
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.mistakes = keras.metrics.Sum(name="mistakes")
        self.compile()
        if num_features is not None:
            self.build((None, num_features))

    def build(self, input_shape: Any) -> None:
        self.num_features = num_features_of(input_shape, "Perceptron")
        self.w = self.add_weight(name="w", shape=(self.num_features,), dtype="float32", initializer="zeros")
        self.b = self.add_weight(name="b", shape=(), dtype="float32", initializer="zeros")

    def score(self, features: Any) -> Any:
        """Return w.x + b, (B,), for features (B, D)."""
        return ops.matmul(self._features(features), self.w) + self.b

    def _features(self, features: Any) -> Any:
        features = ops.convert_to_tensor(features)
        x = checked_shape(features, tuple(self.w.shape), name="features", model="Perceptron")
        return ops.cast(x, "float32")

    def call(self, features: Any) -> Any:
        return self.threshold(self.score(features))

    def compile(self, *, run_eagerly: bool = False, steps_per_execution: int = 1, **kwargs: Any) -> None:
        """Configure how the model runs; it has no loss, no optimizer and no other metrics.

        Args:
            run_eagerly: as in Keras.
            steps_per_execution: as in Keras.
            **kwargs: other arguments of Keras, which must be None.

        Raises:
            ValueError: another argument is passed.
        """
        for name, value in kwargs.items():
            if value is not None and name != "jit_compile":
                raise ValueError(
                    f"{name}: expected none, because a perceptron is trained by its own rule, got {value!r}. "
                    "Omit it."
                )
        super().compile(
            optimizer=None,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )

    def checked_data(self, data: Any) -> Any:
        """Return features (B, D) and labels (B,), both float32."""
        x, y = unweighted(data, "Perceptron")
        y = checked_classes(y, num_classes=2)
        if not self.built:
            self.build(x.shape)
        return *checked_finite(features=self._features(x)), ops.cast(y, "float32")

    def _learn(self, data: Any) -> dict[str, Any]:
        """Apply the rule to every example of (features, labels) in turn."""
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError(
                "strategy: expected one replica, because the rule processes one example after the other, got "
                "several. Train outside the scope of the strategy."
            )
        x, y = data

        def correct(index: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            w, b, mistakes = state
            error = y[index] - self.threshold(ops.sum(w * x[index]) + b)
            step = self.learning_rate * error
            return w + step * x[index], b + step, mistakes + ops.abs(error)

        w, b, mistakes = ops.fori_loop(0, ops.shape(x)[0], correct, (self.w.value, self.b.value, 0.0))
        self.w.assign(w)
        self.b.assign(b)
        return self._report(mistakes, ops.shape(x)[0])

    def _judge(self, data: Any) -> dict[str, Any]:
        """Count the mistakes on (features, labels)."""
        x, y = data
        return self._report(ops.sum(ops.abs(y - self(x))), ops.shape(x)[0])

    def _report(self, mistakes: Any, count: Any) -> dict[str, Any]:
        self.mistakes.update_state(mistakes)
        count = ops.cast(count, "float32")
        self.accuracy.update_state(1 - mistakes / count, sample_weight=count)
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def metrics(self) -> list[Any]:
        """The metrics accuracy and mistakes."""
        return [self.accuracy, self.mistakes]

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the endpoint `serving_default(features) -> score, class`."""
        if not self.built or self.num_features is None:
            raise ValueError(
                "model: expected a built Perceptron, whose number of features is known, got an unbuilt one. "
                "Call fit, or pass num_features."
            )
        features = {"features": Spec(("batch", self.num_features), "float32")}
        return {"serving_default": Endpoint(self._classify, features)}

    def _classify(self, features: Any) -> dict[str, Any]:
        score = self.score(features)
        return {"score": score, "class": ops.cast(self.threshold(score), "int32")}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_features": self.num_features,
            "learning_rate": self.learning_rate,
        }
