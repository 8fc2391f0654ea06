"""Explicit backpropagation through time, and vanishing and exploding gradients (notes 5.1.1).

The matrices act on columns, as in the notes: W (H, H), U (H, D), V (O, H). The kernels of the layers are
their transposes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_dl.theory.numeric_arguments import Array, check_array, check_positive
from keras_dl.theory.sigmoid import sigmoid
from keras_dl_export.arguments import check_int


class BPTT(NamedTuple):
    """The gradient dL/dW of a vanilla RNN, and its terms.

    Attributes:
        gradient: dL/dW, (H, H).
        terms: terms[j, k], (T, T, H, H): the gradient of the loss at step j through W at step k; 0 for k > j.
        loss: L = sum_j J_j.
    """

    gradient: Array
    terms: Array
    loss: float


def bptt(w: ArrayLike, u: ArrayLike, v: ArrayLike, x: ArrayLike, targets: ArrayLike) -> BPTT:
    """Return the double sum of the notes, term by term, for L = sum_j J_j, J_j = |o_j - y_j|^2 / 2.

        s_t = tanh(W s_{t-1} + U x_t),  o_t = V s_t

        dL/dW = sum_j sum_{k <= j} dJ_j/do_j do_j/ds_j (prod_{t=k+1}^{j} ds_t/ds_{t-1}) ds_k/dW

    ds_t/ds_{t-1} = diag(1 - s_t^2) W; ds_k/dW is the immediate derivative, with s_{k-1} constant.

    Args:
        w: W, (H, H).
        u: U, (H, D).
        v: V, (O, H).
        x: inputs (T, D).
        targets: y, (T, O).

    Raises:
        ValueError: the shapes do not match.

    Reference: notes 5.1 and 5.1.1; s_0 = 0.
    """
    weight = check_array("w", w, None, None)
    units = len(weight)
    weight = check_array("w", w, units, units)
    inputs = check_array("x", x, None, None)
    steps = len(inputs)
    input_weight = check_array("u", u, units, inputs.shape[1])
    output_weight = check_array("v", v, None, units)
    wanted = check_array("targets", targets, steps, len(output_weight))

    states = [np.zeros(units)]
    for each in inputs:
        states.append(np.tanh(weight @ states[-1] + input_weight @ each))
    terms = np.zeros((steps, steps, units, units))
    loss = 0.0
    for j in range(steps):
        error = output_weight @ states[j + 1] - wanted[j]
        loss += float(error @ error) / 2
        for k in range(j + 1):
            # dJ_j/do_j do_j/ds_j, multiplied by one Jacobian per step from j back to k
            row = error @ output_weight
            for t in range(j, k, -1):
                row = row @ ((1 - states[t + 1] ** 2)[:, None] * weight)
            terms[j, k] = np.outer(row * (1 - states[k + 1] ** 2), states[k])
    return BPTT(terms.sum(axis=(0, 1)), terms, loss)


class GradientNorms(NamedTuple):
    """Spectral norms of the Jacobians of the last state; index k is the step, 0 the initial state.

    Attributes:
        hidden: |dh_T/dh_k|, (T + 1,); the last is 1.
        cell: |dh_T/dC_k|, (T + 1,), of an LSTM; None for other cells.
    """

    hidden: Array
    cell: Array | None = None


def rnn_gradient_norms(w: ArrayLike, u: ArrayLike, x: ArrayLike) -> GradientNorms:
    """Return |ds_T/ds_k| of s_t = tanh(W s_{t-1} + U x_t), from the Jacobians diag(1 - s_t^2) W.

    Args:
        w: W, (H, H).
        u: U, (H, D).
        x: inputs (T, D).
    """
    weight = check_array("w", w, None, None)
    inputs = check_array("x", x, None, None)
    drive = inputs @ check_array("u", u, len(weight), inputs.shape[1]).T
    s = np.zeros(len(weight))
    jacobians = []
    for each in drive:
        s = np.tanh(weight @ s + each)
        jacobians.append((1 - s**2)[:, None] * weight)
    return GradientNorms(_norms(jacobians, len(s))[0])


def lstm_gradient_norms(
    kernel: ArrayLike, recurrent_kernel: ArrayLike, bias: ArrayLike, x: ArrayLike
) -> GradientNorms:
    """Return |dh_T/dh_k| and |dh_T/dC_k| of an LSTM, whose state consists of h and C.

    Args:
        kernel: (D, 4H), columns i, f, C~, o, as in the layer.
        recurrent_kernel: (H, 4H).
        bias: (4H,).
        x: inputs (T, D).
    """
    recurrent, drive = _kernels(kernel, recurrent_kernel, bias, x, gates=4)
    units = len(recurrent)
    to_i, to_f, to_candidate, to_o = np.split(recurrent.T, 4)
    h = c = np.zeros(units)
    jacobians = []
    for each in drive:
        i, f, candidate, o = np.split(each + h @ recurrent, 4)
        i, f, o, candidate = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(candidate)
        dc_dh = (
            (c * f * (1 - f))[:, None] * to_f
            + (candidate * i * (1 - i))[:, None] * to_i
            + (i * (1 - candidate**2))[:, None] * to_candidate
        )
        c = f * c + i * candidate
        tanh_c = np.tanh(c)
        slope = o * (1 - tanh_c**2)
        dh_dh = (tanh_c * o * (1 - o))[:, None] * to_o + slope[:, None] * dc_dh
        jacobians.append(np.block([[dh_dh, np.diag(slope * f)], [dc_dh, np.diag(f)]]))
        h = o * tanh_c
    hidden, cell = _norms(jacobians, units)
    return GradientNorms(hidden, cell)


def gru_gradient_norms(
    kernel: ArrayLike, recurrent_kernel: ArrayLike, bias: ArrayLike, x: ArrayLike
) -> GradientNorms:
    """Return |dh_T/dh_k| of a GRU whose reset gate acts before the product.

    Args:
        kernel: (D, 3H), columns z, r, h~, as in the layer.
        recurrent_kernel: (H, 3H).
        bias: (3H,).
        x: inputs (T, D).
    """
    recurrent, drive = _kernels(kernel, recurrent_kernel, bias, x, gates=3)
    to_z, to_r, to_candidate = np.split(recurrent.T, 3)
    h = np.zeros(len(recurrent))
    jacobians = []
    for each in drive:
        from_z, from_r, from_candidate = np.split(each, 3)
        z, r = sigmoid(from_z + to_z @ h), sigmoid(from_r + to_r @ h)
        candidate = np.tanh(from_candidate + to_candidate @ (r * h))
        of_reset = np.diag(r) + (h * r * (1 - r))[:, None] * to_r
        of_candidate = (1 - candidate**2)[:, None] * (to_candidate @ of_reset)
        jacobians.append(
            np.diag(z) + ((h - candidate) * z * (1 - z))[:, None] * to_z + (1 - z)[:, None] * of_candidate
        )
        h = z * h + (1 - z) * candidate
    return GradientNorms(_norms(jacobians, len(h))[0])


def spectral_radius(w: ArrayLike) -> float:
    """Return max |lambda| over the eigenvalues of W, the growth of gradients per step near s = 0."""
    weight = check_array("w", w, None, None)
    return float(np.abs(np.linalg.eigvals(check_array("w", w, len(weight), len(weight)))).max())


def with_spectral_radius(w: ArrayLike, radius: float) -> Array:
    """Return W scaled to the given spectral radius.

    Args:
        w: W, (H, H).
        radius: the spectral radius.

    Raises:
        ValueError: `radius` is not positive, or all eigenvalues of W are 0.
    """
    check_positive("radius", radius)
    current = spectral_radius(w)
    if current == 0:
        raise ValueError("w: expected an eigenvalue other than 0, got none. Pass another matrix.")
    return np.asarray(w, np.float64) * (radius / current)


def clip_by_norm(gradient: ArrayLike, limit: float) -> Array:
    """Return g min(1, limit / |g|), which has the direction of g and a norm of at most `limit`.

    Clipping limits exploding gradients; it does not change vanishing ones.

    Args:
        gradient: g, any shape.
        limit: the largest norm.

    Reference: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013).
    """
    g = np.asarray(gradient, np.float64)
    norm = float(np.linalg.norm(g))
    return g * min(1.0, check_positive("limit", limit) / norm) if norm else g


def random_recurrence(units: int, radius: float, *, seed: int = 0) -> Array:
    """Return a Gaussian W (H, H) with the given spectral radius."""
    rng = np.random.default_rng(seed)
    return with_spectral_radius(rng.standard_normal((check_int("units", units), units)), radius)


def _kernels(
    kernel: ArrayLike, recurrent_kernel: ArrayLike, bias: ArrayLike, x: ArrayLike, *, gates: int
) -> tuple[Array, Array]:
    """Return the recurrent kernel (H, gates H) and the contribution of the input, (T, gates H)."""
    recurrent = check_array("recurrent_kernel", recurrent_kernel, None, None)
    width = gates * len(recurrent)
    recurrent = check_array("recurrent_kernel", recurrent_kernel, len(recurrent), width)
    inputs = check_array("x", x, None, None)
    drive = inputs @ check_array("kernel", kernel, inputs.shape[1], width) + check_array("bias", bias, width)
    return recurrent, drive


def _norms(jacobians: list[Array], units: int) -> tuple[Array, Array | None]:
    """Return norms of the first `units` rows of J_T .. J_{k+1}: for the first `units` columns, and others."""
    product = np.eye(units, len(jacobians[0]))
    products = [product]
    for jacobian in reversed(jacobians):
        product = product @ jacobian
        products.append(product)
    stacked = np.stack(products[::-1])
    first, rest = stacked[..., :units], stacked[..., units:]
    hidden = np.linalg.norm(first, ord=2, axis=(1, 2))
    return hidden, np.linalg.norm(rest, ord=2, axis=(1, 2)) if rest.shape[-1] else None
