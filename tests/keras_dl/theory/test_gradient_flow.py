"""The double sum and the products of Jacobians against autodiff through the layers' cells."""

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.layers import GRUCell, LSTMCell, VanillaRNNCell
from keras_dl.theory import (
    bptt,
    clip_by_norm,
    gru_gradient_norms,
    lstm_gradient_norms,
    random_recurrence,
    rnn_gradient_norms,
    spectral_radius,
    with_spectral_radius,
)

T, D, H, OUT = 9, 3, 5, 2
RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((T, D)), RNG.standard_normal((T, OUT))


def cell_of(kind, **arguments):
    cell = kind(H, bias_initializer="random_normal") if kind is not VanillaRNNCell else kind(H, OUT)
    cell.build((1, D))
    for weight in cell.weights:
        weight.assign(RNG.standard_normal(weight.shape) * 0.6)
    return cell


def by_autodiff(cell, state_index):
    """|dh_T / dstate_k| for k = 0 .. T."""
    states = [tf.zeros((1, H)) for _ in range(2 if isinstance(cell, LSTMCell) else 1)]
    kept = []
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(states)
        kept.append(states)
        for x in X.astype("float32"):
            _, states = cell(x[None], list(states))
            states = [tf.identity(each) for each in states]
            kept.append(states)
        last = kept[-1][0]
    jacobians = [
        tape.jacobian(last, each[state_index], unconnected_gradients="zero", experimental_use_pfor=False)
        for each in kept
    ]
    return [np.linalg.norm(np.asarray(each)[0, :, 0], ord=2) for each in jacobians]


def test_the_double_sum_is_the_gradient():
    cell = cell_of(VanillaRNNCell)
    u, w, v = (np.asarray(each).T for each in cell.get_weights())
    with tf.GradientTape() as tape:
        state, loss = [tf.zeros((1, H))], 0.0
        for x, target in zip(X.astype("float32"), TARGETS.astype("float32"), strict=True):
            output, state = cell(x[None], state)
            loss += tf.reduce_sum((output - target) ** 2) / 2
    expected = np.asarray(tape.gradient(loss, cell.recurrent_kernel.value)).T
    found = bptt(w, u, v, X, TARGETS)
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert found.loss == pytest.approx(float(loss), rel=1e-5)


def test_a_term_is_the_gradient_of_one_loss_by_one_use():
    w, u, v = RNG.standard_normal((H, H)), RNG.standard_normal((H, D)), RNG.standard_normal((OUT, H))
    j, k, row, column, h = 6, 2, 1, 3, 1e-6

    def loss(change):
        s = np.zeros(H)
        for t in range(j + 1):
            matrix = w.copy()
            matrix[row, column] += change * (t == k)  # W changes at its use in step k alone
            s = np.tanh(matrix @ s + u @ X[t])
        return ((v @ s - TARGETS[j]) ** 2).sum() / 2

    terms = bptt(w, u, v, X, TARGETS).terms
    assert terms[j, k, row, column] == pytest.approx((loss(h) - loss(-h)) / (2 * h), rel=1e-5, abs=1e-9)
    assert not terms[np.triu_indices(T, 1)].any(), "no loss speaks of later steps"


def test_rnn_norms():
    cell = cell_of(VanillaRNNCell)
    u, w, _ = (each.T for each in cell.get_weights())
    np.testing.assert_allclose(rnn_gradient_norms(w, u, X).hidden, by_autodiff(cell, 0), rtol=1e-4)


def test_lstm_norms():
    cell = cell_of(LSTMCell)
    found = lstm_gradient_norms(*cell.get_weights(), X)
    np.testing.assert_allclose(found.hidden, by_autodiff(cell, 0), rtol=1e-4, atol=1e-7)
    of_cell = by_autodiff(cell, 1)
    # C_T reaches h_T within the last step, which is not counted as a step on the way.
    np.testing.assert_allclose(found.cell[:-1], of_cell[:-1], rtol=1e-4, atol=1e-7)


def test_gru_norms():
    cell = cell_of(GRUCell)
    found = gru_gradient_norms(*cell.get_weights(), X)
    np.testing.assert_allclose(found.hidden, by_autodiff(cell, 0), rtol=1e-4, atol=1e-7)


def test_the_spectral_radius_determines_vanishing_and_exploding():
    u, still = np.zeros((30, 1)), np.zeros((60, 1))  # at s = 0 each Jacobian is W itself
    for radius in (0.8, 1.2):
        w = random_recurrence(30, radius, seed=1)
        assert spectral_radius(w) == pytest.approx(radius)
        norms = rnn_gradient_norms(w, u, still).hidden
        exact = [np.linalg.norm(np.linalg.matrix_power(w, 60 - k), ord=2) for k in range(61)]
        np.testing.assert_allclose(norms, exact, rtol=1e-8)
        # Gelfand: |W^k|^(1/k) -> radius
        assert norms[0] ** (1 / 60) == pytest.approx(radius, rel=0.1)


def test_an_open_forget_gate_carries_the_gradient():
    kernel, recurrent, bias = np.zeros((D, 4 * H)), np.zeros((H, 4 * H)), np.zeros(4 * H)
    bias[H : 2 * H] = 20  # f = 1
    cell = lstm_gradient_norms(kernel, recurrent, bias, np.zeros((200, D))).cell
    np.testing.assert_allclose(cell[:-1], 0.5, rtol=1e-6)  # o = 1/2 is all that is lost in 200 steps


def test_clipping_keeps_the_direction():
    g = np.array([[3.0, 4.0]])
    np.testing.assert_allclose(clip_by_norm(g, 1.0), [[0.6, 0.8]])
    np.testing.assert_array_equal(clip_by_norm(g, 10.0), g)
    np.testing.assert_array_equal(clip_by_norm(0 * g, 1.0), 0 * g)
    np.testing.assert_allclose(clip_by_norm(g, 2.0), tf.clip_by_norm(g, 2.0))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: bptt(np.eye(3), np.eye(2), np.eye(3), X, TARGETS),
            r"u: expected an array of shape \(3, 3\)",
        ),
        (lambda: rnn_gradient_norms(np.ones(3), np.eye(3), X), "w: expected an array of shape"),
        (lambda: with_spectral_radius(np.zeros((2, 2)), 1.0), "w: expected an eigenvalue other than 0"),
        (lambda: with_spectral_radius(np.eye(2), 0.0), "radius: expected a positive number, got 0.0"),
        (lambda: clip_by_norm([1.0], 0.0), "limit: expected a positive number, got 0.0"),
        (
            lambda: gru_gradient_norms(np.ones((D, 4 * H)), np.ones((H, 4 * H)), np.ones(4 * H), X),
            r"recurrent_kernel: expected an array of shape \(5, 15\), got \(5, 20\)",
        ),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
