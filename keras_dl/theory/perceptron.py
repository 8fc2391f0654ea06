"""What a perceptron can learn: Novikoff's bound where a hyperplane separates, a cycle where none does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.arguments import Array, check_array
from keras_dl_export.arguments import check_int

_NO_RESIDUAL = 1e-9  # below it, the constraints contradict each other


class Separation(NamedTuple):
    """The hyperplane w.x + b = 0 that keeps furthest from both classes, |(w, b)| = 1.

    Attributes:
        w: (D,).
        b: the threshold's negative.
        margin: gamma = min_n s_n (w.x_n + b), s_n being 1 for label 1 and -1 for label 0.
        radius: R = max_n |(x_n, 1)|.
    """

    w: Array
    b: float
    margin: float
    radius: float

    @property
    def bound(self) -> float:
        """(R / gamma)^2, Novikoff's bound on the number of mistakes."""
        return (self.radius / self.margin) ** 2


class PerceptronRun(NamedTuple):
    """What the mistake-driven rule did.

    Attributes:
        w: (D,), after the last epoch.
        b: the same.
        mistakes: in each epoch, (epochs,) int.
        converged: whether the last epoch had none.
        period: epochs after which (w, b) came back to where it had been, and so will for ever; None if it
            never did.
        path: (w, b) after each mistake, (1 + mistakes, D + 1), from zeros on.
    """

    w: Array
    b: float
    mistakes: Array
    converged: bool
    period: int | None
    path: Array


def separation(x: ArrayLike, y: ArrayLike) -> Separation | None:
    """The hyperplane of the largest margin, or None where no hyperplane separates the classes.

        minimise |v|^2  with  s_n v.(x_n, 1) >= 1 for all n;  gamma = 1 / |v|

    It is found exactly, by non-negative least squares.

    Args:
        x: features (N, D).
        y: labels (N,), 0 or 1.

    Raises:
        ValueError: the arrays do not fit together, or a label is neither 0 nor 1.

    Reference: notes 1.1; Lawson and Hanson, Solving least squares problems (1974), chapter 23.
    """
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    points, sign = _examples(x, y)
    signed = sign[:, None] * points
    # Lengths near 1 keep the solver's numbers near 1; a factor moves no hyperplane.
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
    """(R / gamma)^2: the perceptron makes no more mistakes than that, in whatever order it sees the data.

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
            "y: expected classes that a hyperplane separates, got some that none does: there is no margin "
            "and no bound. Take other data or more features."
        )
    return found.bound


def train_perceptron(x: ArrayLike, y: ArrayLike, *, max_epochs: int | None = None) -> PerceptronRun:
    """The rule on one example after the other, until an epoch without a mistake.

        w <- w + (y - f(x)) x,  b <- b + (y - f(x)),  f(x) = 1 if w.x + b >= 0 else 0

    Args:
        x: features (N, D).
        y: labels (N,), 0 or 1.
        max_epochs: where to stop in any case; None is no limit, which only separable data may have.

    Raises:
        ValueError: no hyperplane separates the classes, and there is no limit.

    Reference: notes 1.1; Rosenblatt, The perceptron (1958). `models.Perceptron` is the same as a Keras model.
    """
    points, sign = _examples(x, y)
    if max_epochs is not None:
        check_int("max_epochs", max_epochs)
    elif separation(x, y) is None:
        raise ValueError(
            "max_epochs: expected a limit for classes that no hyperplane separates, where the rule never "
            "ends, got None. Pass 100, for example."
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
    """(x, 1) of shape (N, D + 1), and the labels as -1 and 1."""
    features = check_array("x", x, None, None)
    labels = check_array("y", y, len(features))
    if not len(features) or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"y: expected labels 0 and 1, at least one, got {np.unique(labels)}. Number the classes 0 and 1."
        )
    return np.column_stack([features, np.ones(len(features))]), 2 * labels - 1
