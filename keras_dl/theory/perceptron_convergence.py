"""Learning of perceptrons: Novikoff's bound for separable classes, cycles for others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.numeric_arguments import Array, check_array
from keras_dl_export.arguments import check_int

_NO_RESIDUAL = 1e-9  # below it, the constraints are infeasible


class Separation(NamedTuple):
    """The hyperplane w.x + b = 0 of the largest margin between the classes, |(w, b)| = 1.

    Attributes:
        w: (D,).
        b: the negative threshold.
        margin: gamma = min_n s_n (w.x_n + b), s_n being 1 for label 1 and -1 for label 0.
        radius: R = max_n |(x_n, 1)|.
    """

    w: Array
    b: float
    margin: float
    radius: float

    @property
    def bound(self) -> float:
        """Novikoff's bound on the number of mistakes, (R / gamma)^2."""
        return (self.radius / self.margin) ** 2


class PerceptronRun(NamedTuple):
    """The result of training with the perceptron rule.

    Attributes:
        w: (D,), after the last epoch.
        b: the bias after the last epoch.
        mistakes: the number of mistakes in each epoch, (epochs,) int.
        converged: whether the last epoch had no mistake.
        period: the number of epochs after which (w, b) returned to an earlier value, and will repeat
            endlessly; None if it did not.
        path: (w, b) after each mistake, (1 + mistakes, D + 1), starting at zeros.
    """

    w: Array
    b: float
    mistakes: Array
    converged: bool
    period: int | None
    path: Array


def separation(x: ArrayLike, y: ArrayLike) -> Separation | None:
    """Return the hyperplane of the largest margin, or None if no hyperplane separates the classes.

        minimize |v|^2  with  s_n v.(x_n, 1) >= 1 for all n;  gamma = 1 / |v|

    The solution is exact; it is computed by non-negative least squares.

    Args:
        x: features (N, D).
        y: labels (N,), 0 or 1.

    Raises:
        ValueError: the shapes do not match, or a label is neither 0 nor 1.

    Reference: notes 1.1; Lawson and Hanson, Solving least squares problems (1974), chapter 23.
    """
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    points, sign = _examples(x, y)
    signed = sign[:, None] * points
    # Scaling to lengths near 1 conditions the solver; it does not change the hyperplane.
    scale = np.abs(signed).max()
    constraints = np.concatenate([signed.T / scale, np.ones((1, len(signed)))])
    target = np.append(np.zeros(points.shape[1]), 1.0)
    multipliers, _ = nnls(constraints, target, maxiter=100 * len(signed))
    residual = constraints @ multipliers - target
    if np.linalg.norm(residual) < _NO_RESIDUAL:
        return None
    v = -residual[:-1] / residual[-1]
    v /= np.linalg.norm(v)
    margin = float((signed @ v).min())
    if margin <= 0:
        return None
    return Separation(v[:-1], float(v[-1]), margin, float(np.linalg.norm(points, axis=1).max()))


def novikoff_bound(x: ArrayLike, y: ArrayLike) -> float:
    """Return (R / gamma)^2, the bound on the mistakes of a perceptron for any order of the data.

    Args:
        x: features (N, D).
        y: labels (N,), 0 or 1.

    Raises:
        ValueError: no hyperplane separates the classes.

    Reference: notes 1.1; Novikoff, On convergence proofs for perceptrons (1962).
    """
    found = separation(x, y)
    if found is None:
        raise ValueError(
            "y: expected linearly separable classes, got classes without a separating hyperplane, for which "
            "there is no bound. Pass other data or more features."
        )
    return found.bound


def train_perceptron(x: ArrayLike, y: ArrayLike, *, max_epochs: int | None = None) -> PerceptronRun:
    """Train with the perceptron rule, example by example, until an epoch without a mistake.

        w <- w + (y - f(x)) x,  b <- b + (y - f(x)),  f(x) = 1 if w.x + b >= 0 else 0

    Args:
        x: features (N, D).
        y: labels (N,), 0 or 1.
        max_epochs: the maximum number of epochs; None, no limit, is valid only for separable data.

    Raises:
        ValueError: no hyperplane separates the classes, and `max_epochs` is None.

    Reference: notes 1.1; Rosenblatt, The perceptron (1958). `models.Perceptron` is the Keras model.
    """
    points, sign = _examples(x, y)
    if max_epochs is not None:
        check_int("max_epochs", max_epochs)
    elif separation(x, y) is None:
        raise ValueError(
            "max_epochs: expected a limit for classes that no hyperplane separates, for which the rule does "
            "not terminate, got None. Pass 100, for example."
        )
    v = np.zeros(points.shape[1])
    path = [v]
    mistakes: list[int] = []
    seen = {v.tobytes(): 0}
    period = None
    while not mistakes or (mistakes[-1] and (max_epochs is None or len(mistakes) < max_epochs)):
        wrong = 0
        for point, target in zip(points, sign, strict=True):
            answer = 1 if point @ v >= 0 else -1
            if answer != target:
                v = v + target * point
                path.append(v)
                wrong += 1
        mistakes.append(wrong)
        if wrong and period is None and v.tobytes() in seen:
            period = len(mistakes) - seen[v.tobytes()]
        seen.setdefault(v.tobytes(), len(mistakes))
    return PerceptronRun(v[:-1], float(v[-1]), np.array(mistakes), not mistakes[-1], period, np.array(path))


def _examples(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return (x, 1) of shape (N, D + 1), and the labels as -1 and 1."""
    features = check_array("x", x, None, None)
    labels = check_array("y", y, len(features))
    if not len(features) or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"y: expected labels 0 and 1, at least one, got {np.unique(labels)}. Encode the classes as 0 and "
            "1."
        )
    return np.column_stack([features, np.ones(len(features))]), 2 * labels - 1
