"""The recurrent cells and layers against the notes' equations in NumPy, and against Keras's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_dl.layers.recurrent import GRU, LSTM, VanillaRNN
from keras_dl.layers.recurrent_cells import GRUCell, LSTMCell, VanillaRNNCell

B, T, D, H, OUT = 3, 7, 4, 5, 2
TOLERANCE = {"rtol": 0, "atol": 1e-5}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def rnn_step(x, states, weights):
    (s,) = states
    U, W, V = weights
    s = np.tanh(s @ W + x @ U)
    return s @ V, [s], {}


def lstm_step(x, states, weights):
    """Gate by gate over the concatenation [h, x], as the notes write it."""
    h, C = states
    kernel, recurrent_kernel, bias = weights
    W_i, W_f, W_C, W_o = np.split(np.concatenate([recurrent_kernel, kernel]), 4, axis=1)
    b_i, b_f, b_C, b_o = np.split(bias, 4)
    hx = np.concatenate([h, x], axis=1)
    f = sigmoid(hx @ W_f + b_f)
    i = sigmoid(hx @ W_i + b_i)
    candidate = np.tanh(hx @ W_C + b_C)
    C = f * C + i * candidate
    o = sigmoid(hx @ W_o + b_o)
    h = o * np.tanh(C)
    return h, [h, C], {"input": i, "forget": f, "candidate": candidate, "output": o}


def gru_step(x, states, weights):
    (h,) = states
    kernel, recurrent_kernel, bias = weights
    W_z, W_r, W_h = np.split(np.concatenate([recurrent_kernel, kernel]), 3, axis=1)
    b_z, b_r, b_h = np.split(bias, 3)
    hx = np.concatenate([h, x], axis=1)
    z = sigmoid(hx @ W_z + b_z)
    r = sigmoid(hx @ W_r + b_r)
    candidate = np.tanh(np.concatenate([r * h, x], axis=1) @ W_h + b_h)
    h = z * h + (1 - z) * candidate
    return h, [h], {"update": z, "reset": r, "candidate": candidate}


def run(step, sequences, states, weights, mask=None):
    """All outputs (B, T, O), the last states, all gates; a masked step repeats what was before it."""
    outputs, gates = [], []
    for t in range(sequences.shape[1]):
        output, new_states, new_gates = step(sequences[:, t], states, weights)
        if mask is not None:
            keep = mask[:, t, None]
            output = np.where(keep, output, outputs[-1] if outputs else 0)
            new_states = [np.where(keep, new, old) for new, old in zip(new_states, states, strict=True)]
        outputs.append(output)
        gates.append(new_gates)
        states = new_states
    stacked = {name: np.stack([g[name] for g in gates], axis=1) for name in gates[0]}
    return np.stack(outputs, axis=1), states, stacked


FAMILIES = {
    "rnn": (VanillaRNNCell, VanillaRNN, rnn_step, 1, {"output_units": OUT}),
    "lstm": (LSTMCell, LSTM, lstm_step, 2, {}),
    "gru": (GRUCell, GRU, gru_step, 1, {}),
}


@pytest.fixture(params=FAMILIES, name="family")
def _family(request):
    return FAMILIES[request.param]


@pytest.fixture(name="random")
def _random():
    return np.random.default_rng(7)


def random_weights(layer, random):
    """Also the biases: the zeros they begin with would hide a wrong order."""
    layer.set_weights([random.normal(size=w.shape).astype("float32") * 0.5 for w in layer.get_weights()])
    return layer.get_weights()


def float32(random, *shape):
    return random.normal(size=shape).astype("float32")


def values(nested):
    return [np.asarray(value) for value in nested]


class TestEquations:
    def test_cell_in_a_keras_loop_and_layer_agree_with_numpy(self, family, random):
        cell_class, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        states = [float32(random, B, H) for _ in range(num_states)]
        layer = layer_class(H, return_sequences=True, return_state=True, **options)
        layer.build(x.shape)
        weights = random_weights(layer, random)
        looped = keras.layers.RNN(cell_class(H, **options), return_sequences=True, return_state=True)
        looped.build(x.shape)
        looped.set_weights(weights)

        expected, expected_states, _ = run(step, x, states, weights)
        for outputs, *last in (layer(x, initial_state=states), looped(x, initial_state=states)):
            np.testing.assert_allclose(outputs, expected, **TOLERANCE)
            np.testing.assert_allclose(values(last), expected_states, **TOLERANCE)

    def test_the_last_output_alone_is_the_default(self, family, random):
        _, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        layer = layer_class(H, **options)
        layer.build(x.shape)
        weights = random_weights(layer, random)
        expected, _, _ = run(step, x, [np.zeros((B, H))] * num_states, weights)
        np.testing.assert_allclose(layer(x), expected[:, -1], **TOLERANCE)
        assert layer.compute_output_shape(x.shape) == expected[:, -1].shape

    def test_masks_with_holes_keep_output_and_state(self, family, random):
        _, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        mask = np.array([[1, 1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]], dtype=bool)
        layer = layer_class(H, return_sequences=True, return_state=True, **options)
        layer.build(x.shape)
        weights = random_weights(layer, random)
        expected, expected_states, _ = run(step, x, [np.zeros((B, H))] * num_states, weights, mask)
        outputs, *last = layer(x, mask=mask)
        np.testing.assert_allclose(outputs, expected, **TOLERANCE)
        np.testing.assert_allclose(values(last), expected_states, **TOLERANCE)

    def test_go_backwards_equals_the_reversed_sequence(self, family, random):
        _, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        layer = layer_class(H, return_sequences=True, go_backwards=True, **options)
        layer.build(x.shape)
        weights = random_weights(layer, random)
        expected, _, _ = run(step, x[:, ::-1], [np.zeros((B, H))] * num_states, weights)
        np.testing.assert_allclose(layer(x), expected, **TOLERANCE)

    def test_unrolled_stateful_and_bidirectional(self, family, random):
        _, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        unrolled = layer_class(H, unroll=True, **options)
        unrolled.build(x.shape)
        weights = random_weights(unrolled, random)
        forwards, _, _ = run(step, x, [np.zeros((B, H))] * num_states, weights)
        np.testing.assert_allclose(unrolled(x), forwards[:, -1], **TOLERANCE)

        stateful = layer_class(H, stateful=True, **options)
        stateful.build(x[:, :3].shape)
        stateful.set_weights([*weights, *stateful.get_weights()[len(weights) :]])
        stateful(x[:, :3])
        np.testing.assert_allclose(stateful(x[:, 3:]), forwards[:, -1], **TOLERANCE)

        both = keras.layers.Bidirectional(layer_class(H, **options))
        both.build(x.shape)
        both.set_weights(weights + weights)
        backwards, _, _ = run(step, x[:, ::-1], [np.zeros((B, H))] * num_states, weights)
        expected = np.concatenate([forwards[:, -1], backwards[:, -1]], axis=1)
        np.testing.assert_allclose(both(x), expected, **TOLERANCE)

    def test_step_by_step_is_the_whole_sequence(self, family, random):
        _, layer_class, step, num_states, options = family
        x = float32(random, B, T, D)
        layer = layer_class(H, dropout=0.5, recurrent_dropout=0.5, **options)
        layer.build(x.shape)
        weights = random_weights(layer, random)
        expected, expected_states, _ = run(step, x, [np.zeros((B, H))] * num_states, weights)
        states = [np.zeros((B, H), "float32")] * num_states
        for t in range(T):
            output, states = layer.step(x[:, t], states)
            np.testing.assert_allclose(output, expected[:, t], **TOLERANCE)
        np.testing.assert_allclose(values(states), expected_states, **TOLERANCE)

    def test_the_vanilla_rnn_has_u_w_v_and_no_bias(self):
        for layer in (VanillaRNN(H, output_units=OUT), keras.layers.RNN(VanillaRNNCell(H, output_units=OUT))):
            layer.build((B, T, D))
            assert [w.shape for w in layer.get_weights()] == [(D, H), (H, H), (H, OUT)]
        assert VanillaRNN(H).output_units == H

    def test_a_new_lstm_remembers(self):
        cell = LSTMCell(H)
        cell.build((B, D))
        _, forget, _, _ = np.split(np.asarray(cell.bias), 4)
        assert np.all(forget == 1)
        assert np.sum(np.asarray(cell.bias)) == H


class TestGates:
    @pytest.mark.parametrize("name", ["lstm", "gru"])
    def test_a_cell_shows_the_gates_of_a_step(self, name, random):
        cell_class, _, step, num_states, _ = FAMILIES[name]
        x, states = float32(random, B, D), [float32(random, B, H) for _ in range(num_states)]
        cell = cell_class(H)
        cell.build(x.shape)
        weights = random_weights(cell, random)
        _, _, expected = step(x, states, weights)
        gates = cell.gates(x, states)
        assert set(gates._fields) == set(expected)
        for field, value in expected.items():
            np.testing.assert_allclose(getattr(gates, field), value, **TOLERANCE)

    @pytest.mark.parametrize("name", ["lstm", "gru"])
    def test_a_layer_shows_the_gates_of_a_sequence(self, name, random):
        _, layer_class, step, num_states, _ = FAMILIES[name]
        x, states = float32(random, B, T, D), [float32(random, B, H) for _ in range(num_states)]
        for go_backwards in (False, True):
            layer = layer_class(H, go_backwards=go_backwards)
            layer.build(x.shape)
            weights = random_weights(layer, random)
            taken = x[:, ::-1] if go_backwards else x
            _, _, expected = run(step, taken, states, weights)
            gates = layer.gates(x, initial_state=states)
            for field, value in expected.items():
                np.testing.assert_allclose(getattr(gates, field), value, **TOLERANCE)

    def test_after_a_masked_step_the_gates_see_the_kept_state(self, random):
        x, mask = float32(random, B, T, D), np.ones((B, T), dtype=bool)
        mask[:, 3] = False
        layer = LSTM(H)
        layer.build(x.shape)
        random_weights(layer, random)
        without = layer.gates(np.delete(x, 3, axis=1))
        gates = layer.gates(x, mask=mask)
        np.testing.assert_allclose(gates.forget[:, 4:], without.forget[:, 3:], **TOLERANCE)
        np.testing.assert_allclose(gates.forget[:, 3], gates.forget[:, 2], rtol=0, atol=0)

    def test_an_unbuilt_layer_has_no_gates(self, random):
        with pytest.raises(ValueError, match="expected a built layer, got one without weights"):
            GRU(H).gates(float32(random, B, T, D))


class TestKeras:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(LSTM(H), keras.layers.LSTM(H)), (GRU(H), keras.layers.GRU(H, reset_after=False))],
        ids=["lstm", "gru"],
    )
    def test_weights_are_exchanged_in_both_directions(self, ours, theirs, random):
        x = float32(random, B, T, D)
        ours.build(x.shape)
        theirs.build(x.shape)
        ours.set_weights(random_weights(theirs, random))
        np.testing.assert_allclose(ours(x), theirs(x), **TOLERANCE)
        theirs.set_weights(random_weights(ours, random))
        np.testing.assert_allclose(theirs(x), ours(x), **TOLERANCE)

    def test_cells_take_the_weights_of_keras_cells(self, random):
        x, h = float32(random, B, D), float32(random, B, H)
        for ours, theirs, states in (
            (LSTMCell(H), keras.layers.LSTMCell(H), [h, h]),
            (GRUCell(H), keras.layers.GRUCell(H, reset_after=False), [h]),
        ):
            ours.build(x.shape)
            theirs.build(x.shape)
            assert [w.path.split("/")[-1] for w in ours.weights] == [
                w.path.split("/")[-1] for w in theirs.weights
            ]
            ours.set_weights(random_weights(theirs, random))
            np.testing.assert_allclose(ours(x, states)[0], theirs(x, states)[0], **TOLERANCE)

    def test_a_new_cell_has_keras_initial_weights(self):
        for ours, theirs in ((LSTMCell, keras.layers.LSTMCell), (GRUCell, keras.layers.GRUCell)):
            cells = []
            for make in (ours, theirs):
                keras.utils.set_random_seed(3)
                options = {"reset_after": False} if make is keras.layers.GRUCell else {}
                cell = make(H, **options)
                cell.build((B, D))
                cells.append(cell.get_weights())
            for mine, its in zip(*cells, strict=True):
                np.testing.assert_array_equal(mine, its)

    def test_saved_models_are_loaded_unchanged(self, family, random, tmp_path):
        cell_class, layer_class, _, _, options = family
        x = float32(random, B, T, D)
        inputs = keras.Input((None, D))
        hidden = layer_class(H, return_sequences=True, kernel_regularizer="l2", dropout=0.1, **options)(
            inputs
        )
        outputs = keras.layers.RNN(cell_class(H, recurrent_initializer="glorot_normal"))(hidden)
        model = keras.Model(inputs, outputs)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.layers[1].get_config() == model.layers[1].get_config()
        assert loaded.layers[2].cell.get_config() == model.layers[2].cell.get_config()
        np.testing.assert_array_equal(loaded(x), model(x))

    def test_half_precision_computes_in_half_and_keeps_float32_weights(self, family, random):
        cell_class, layer_class, _, _, options = family
        x = float32(random, B, T, D)
        for layer in (
            layer_class(H, dtype="mixed_float16", **options),
            keras.layers.RNN(cell_class(H, dtype="mixed_float16", **options), dtype="mixed_float16"),
        ):
            assert keras.backend.standardize_dtype(layer(x).dtype) == "float16"
            assert {w.dtype for w in layer.weights} == {"float32"}

    def test_no_model_with_these_layers_is_compiled_with_xla(self, family):
        cell_class, layer_class, _, _, options = family
        for layer in (layer_class(H, **options), keras.layers.RNN(cell_class(H, **options))):
            model = keras.Sequential([keras.Input((T, D)), layer])
            model.compile("sgd", "mse")
            assert model.jit_compile is False

    def test_training_moves_every_weight(self, family, random):
        _, layer_class, _, _, options = family
        model = keras.Sequential([keras.Input((None, D)), layer_class(H, **options)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = model.get_weights()
        x = float32(random, B, T, D)
        model.fit(x, np.ones(model(x).shape, "float32"), verbose=0)
        for old, new in zip(before, model.get_weights(), strict=True):
            assert np.any(old != new)


class TestErrors:
    @pytest.mark.parametrize("make", [VanillaRNN, LSTM, GRU, VanillaRNNCell, LSTMCell, GRUCell])
    @pytest.mark.parametrize("units", [0, -3, 2.5, "8", True, None])
    def test_units(self, make, units):
        with pytest.raises(ValueError, match=r"^units: expected an int of at least 1, got "):
            make(units)

    @pytest.mark.parametrize("make", [VanillaRNN, VanillaRNNCell])
    def test_output_units(self, make):
        with pytest.raises(ValueError, match="output_units: expected an int of at least 1, got 0"):
            make(H, output_units=0)

    @pytest.mark.parametrize(
        ("make", "argument", "text"),
        [
            (
                VanillaRNN,
                {"use_bias": True},
                "use_bias: expected False, the equation of VanillaRNN, got True",
            ),
            (VanillaRNN, {"activation": "relu"}, "activation: expected 'tanh', the equation of VanillaRNN"),
            (LSTM, {"activation": "relu"}, "activation: expected 'tanh', the equation of LSTM, got 'relu'"),
            (LSTM, {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation: expected 'sigmoid'"),
            (LSTM, {"use_bias": False}, "use_bias: expected True, .*keras.layers.LSTM for other equations"),
            (
                GRU,
                {"reset_after": True},
                "reset_after: expected False, .*keras.layers.GRU for other equations",
            ),
        ],
    )
    def test_another_equation(self, make, argument, text):
        with pytest.raises(ValueError, match=text):
            make(H, **argument)
