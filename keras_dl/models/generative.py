"""The generative and the discriminative classifier of the notes.

Both have the form p(y = c | x) = softmax(logits(x))_c. Gaussian naive Bayes models p(x | y) p(y) and applies
Bayes' rule; logistic regression models only p(y | x). If the classes have equal variances, their logits are
in the same family. See Ng and Jordan, On discriminative vs. generative classifiers (2001), for a comparison.
"""

from __future__ import annotations

from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl.models import densities
from keras_dl.models.batch_checks import checked_classes, checked_finite, checked_shape, num_features_of
from keras_dl.models.classifier import Classifier
from keras_dl.models.model_options import ModelOptions
from keras_dl.replicas import replica_sum
from keras_dl_export import Endpoint, Spec
from keras_dl_export.arguments import check_int


class _FeatureClassifier(Classifier):
    """A classifier of feature vectors."""

    def __init__(self, num_classes: int, num_features: int | None, **kwargs: Unpack[ModelOptions]) -> None:
        super().__init__(num_classes, **kwargs)
        self.num_features = None if num_features is None else check_int("num_features", num_features)

    def build(self, input_shape: Any) -> None:
        self.num_features = num_features_of(input_shape, type(self).__name__)

    def _features(self, inputs: Any) -> Any:
        assert self.num_features is not None
        shape, model = (self.num_features,), type(self).__name__
        x = checked_shape(ops.convert_to_tensor(inputs), shape, name="features", model=model)
        return ops.cast(x, "float32")

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the endpoint `serving_default(features) -> logits, probabilities, class`."""
        if not self.built or self.num_features is None:
            raise ValueError(
                f"model: expected a built {type(self).__name__}, whose number of features is known, got an "
                "unbuilt one. Call fit, or pass num_features."
            )
        return self.classifying_endpoint("features", Spec(("batch", self.num_features), "float32"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_features": self.num_features}


@keras.saving.register_keras_serializable("keras_dl")
class GaussianNaiveBayes(_FeatureClassifier):
    """A generative classifier with independent Gaussian features given the class.

        p(y = c) = n_c / n,  p(x | y = c) = prod_d N(x_d; mu_cd, sigma_cd^2)

        p(y = c | x) = p(x | c) p(c) / sum_k p(x | k) p(k)

    Training has a closed form: counts, means and variances of each class. One epoch over the data, in batches
    of any size, computes them exactly (with the updates of Chan, Golub and LeVeque, which avoid differences
    of large sums); every `fit` starts from scratch. The logits are log p(x, y = c). `compile` is not needed.

    Args:
        num_classes: number of classes.
        num_features: D; if given, the model is built at once, otherwise on its first batch.
        variance_floor: fraction of the largest variance of a feature that is added to every variance, so that
            a feature that is constant within a class does not cause a division by 0.

    Input: features (B, D), labels (B,) int. Output: probabilities (B, num_classes).

    Raises:
        ValueError: an argument is out of range; in training, a label is not a class, or a class has no
            example.

    Reference: notes 2.2.1.
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_features: int | None = None,
        *,
        variance_floor: float = 1e-9,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(num_classes, num_features, **kwargs)
        if not variance_floor >= 0:
            raise ValueError(
                f"variance_floor: expected a fraction of at least 0, got {variance_floor!r}. Omit it for "
                "1e-9."
            )
        self.variance_floor = variance_floor
        self.compile(None, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        if num_features is not None:
            self.build((None, num_features))

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        classes, features = (self.num_classes, 1), (self.num_classes, self.num_features)
        self.count = self._statistic("count", classes)
        self.mean = self._statistic("mean", features)
        self.squares = self._statistic("squares", features)

    def _statistic(self, name: str, shape: Any) -> Any:
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def logits(self, inputs: Any, training: bool = False) -> Any:
        x = ops.expand_dims(self._features(inputs), 1)
        prior = self.count / ops.sum(self.count)
        density = densities.gaussian_log_density(x, self.mean, ops.log(self._variance()))
        return ops.sum(density, axis=-1) + ops.log(prior[:, 0])

    def _variance(self) -> Any:
        """Return sigma^2 of each class and feature, (num_classes, D)."""
        count = ops.sum(self.count)
        overall = ops.sum(self.count * self.mean, axis=0) / count
        between = ops.sum(self.count * ops.square(self.mean - overall), axis=0)
        widest = ops.max(between + ops.sum(self.squares, axis=0)) / count
        # In training, a class may have no example yet: its prior is 0 for any variance.
        return tf.math.divide_no_nan(self.squares.value, self.count.value) + self.variance_floor * widest

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Estimate counts, means and variances from (features, labels), passed as to `keras.Model.fit`."""
        if self.built:
            for statistic in (self.count, self.mean, self.squares):
                statistic.assign(ops.zeros_like(statistic))
        history = super().fit(*args, **kwargs)
        absent = np.flatnonzero(ops.convert_to_numpy(self.count) == 0)
        if absent.size:
            raise ValueError(
                f"label: expected examples of all {self.num_classes} classes, got none of class {absent[0]}. "
                "Number the classes without gaps, or pass a smaller num_classes."
            )
        return history

    def checked_data(self, data: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        y = checked_classes(y, self.num_classes)
        if not self.built:
            self.build(x.shape)
        x, weight = checked_finite(features=self._features(x), sample_weight=weight)
        return x, y, weight

    def _learn(self, data: Any) -> dict[str, Any]:
        """Update the statistics with a batch of (features, labels)."""
        x, y, weight = data
        member = ops.one_hot(y, self.num_classes)
        if weight is not None:
            member = member * ops.reshape(ops.cast(weight, "float32"), (-1, 1))
        count = replica_sum(ops.expand_dims(ops.sum(member, axis=0), 1))
        mean = tf.math.divide_no_nan(replica_sum(ops.matmul(ops.transpose(member), x)), count)
        deviation = ops.expand_dims(x, 1) - mean
        squares = replica_sum(ops.sum(ops.expand_dims(member, -1) * ops.square(deviation), axis=0))

        total = self.count + count
        weight_of_batch = tf.math.divide_no_nan(count, total)
        shift = mean - self.mean
        self.squares.assign(self.squares + squares + ops.square(shift) * self.count * weight_of_batch)
        self.mean.assign(self.mean + shift * weight_of_batch)
        self.count.assign(total)
        results: dict[str, Any] = self._judge(data)
        return results

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "variance_floor": self.variance_floor}


@keras.saving.register_keras_serializable("keras_dl")
class LogisticRegression(_FeatureClassifier):
    """A discriminative classifier whose log odds are linear in the features.

        p(y = c | x) = softmax(W x + b)_c,  minimize -1/N sum_n log p(y_n | x_n) + l2 ||W||^2

    There is no closed form, but the loss is convex: W and b start at 0, and any optimizer reaches the same
    minimum. `compile` is optional; the default is Adam with a learning rate for standardized features.

    Args:
        num_classes: number of classes.
        num_features: D; if given, the model is built at once, otherwise on its first batch.
        l2: weight of the penalty.

    Input: features (B, D), labels (B,) int. Output: probabilities (B, num_classes).

    Raises:
        ValueError: an argument is out of range; in training, a label is not a class.

    Reference: notes 2.2.1.
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_features: int | None = None,
        *,
        l2: float = 0.0,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        super().__init__(num_classes, num_features, **kwargs)
        if not l2 >= 0:
            raise ValueError(f"l2: expected a weight of at least 0, got {l2!r}. Pass 0 for no penalty.")
        self.l2 = l2
        penalty = keras.regularizers.L2(l2) if l2 else None
        self.linear = keras.layers.Dense(
            self.num_classes, kernel_initializer="zeros", kernel_regularizer=penalty, dtype="float32"
        )
        self.compile(
            keras.optimizers.Adam(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        if num_features is not None:
            self.build((None, num_features))

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.linear.build((None, self.num_features))

    def logits(self, inputs: Any, training: bool = False) -> Any:
        return self.linear(self._features(inputs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l2": self.l2}
