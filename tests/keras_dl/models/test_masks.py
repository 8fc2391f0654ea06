"""Masked steps are passed over, as by Keras's own layers of the same weights."""

import keras
import numpy as np
import pytest

from keras_dl.layers import GRU, LSTM, VanillaRNN
from keras_dl.models import LanguageModel, SequenceClassifier, SequenceRegressor

B, T, D, H = 5, 6, 3, 4
random = np.random.default_rng(0)
SEQUENCES = random.standard_normal((B, T, D)).astype("float32")
SEQUENCES[0, 4:] = 0  # a shorter sequence
SEQUENCES[1, 2:4] = 0  # a hole
SEQUENCES[2, :2] = 0  # padding in front
SEQUENCES[3] = 0  # no step at all
MASK = SEQUENCES.any(axis=-1)
KERAS = {
    "rnn": (VanillaRNN, lambda **o: keras.layers.SimpleRNN(H, use_bias=False, **o)),
    "lstm": (LSTM, lambda **o: keras.layers.LSTM(H, **o)),
    "gru": (GRU, lambda **o: keras.layers.GRU(H, reset_after=False, **o)),
}


@pytest.mark.parametrize("cell", KERAS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_layers_mask_as_keras_does(cell, backwards, sequences):
    layer, peer = KERAS[cell]
    options = {"go_backwards": backwards, "return_sequences": sequences, "return_state": True}
    ours, theirs = layer(H, **options), peer(**options)
    start = [random.standard_normal((B, H)).astype("float32") for _ in range(2 if cell == "lstm" else 1)]
    masked = keras.layers.Masking()(SEQUENCES)
    ours(masked, initial_state=start)
    theirs(masked, initial_state=start)
    weights = ours.get_weights()
    theirs.set_weights(weights[:2] if cell == "rnn" else weights)
    output, *states = (np.asarray(each) for each in ours(masked, initial_state=start))
    expected, *expected_states = (np.asarray(each) for each in theirs(masked, initial_state=start))
    expected = expected @ weights[2] if cell == "rnn" else expected
    np.testing.assert_allclose(output, expected, atol=1e-6)
    for state, other in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(state, other, atol=1e-6)


def models(cell):
    classifier = SequenceClassifier(cell, H, 3, num_layers=2)
    return classifier, SequenceRegressor(cell, H, 2, num_layers=2)


@pytest.mark.parametrize("cell", KERAS)
def test_models_read_only_what_is_not_masked(cell):
    for model in models(cell):
        masking = keras.Sequential([keras.Input((None, D)), keras.layers.Masking(), model])
        answers = np.asarray(masking(SEQUENCES))
        for sequence, mask, answer in zip(SEQUENCES, MASK, answers, strict=True):
            if mask.any():  # the steps that are left, as a sequence of their own
                alone = np.asarray(model(sequence[mask][np.newaxis]))
                np.testing.assert_allclose(alone[0], answer, atol=1e-5)
        assert masking.layers[-1].compute_mask(SEQUENCES, MASK) is None
        np.testing.assert_allclose(masking.predict(SEQUENCES, verbose=0), answers, atol=1e-5)


def test_masked_steps_get_no_gradient_and_the_model_trains():
    model = SequenceClassifier("gru", H, 3)
    masking = keras.Sequential([keras.Input((None, D)), keras.layers.Masking(), model])
    masking.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = masking.fit(SEQUENCES, np.arange(B) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_rows_of_images_are_masked_as_rows():
    model = SequenceClassifier("rnn", H, 3, image_shape=(4, 2, 1))
    image = random.random((1, 4, 2, 1), dtype=np.float32)
    image[:, 2:] = 0
    mask = image[..., 0] > 0
    np.testing.assert_allclose(
        np.asarray(model(image, mask=mask)), np.asarray(model(image[:, :2])), atol=1e-6
    )


def test_a_language_model_does_not_count_masked_characters():
    model = LanguageModel("abc", "gru", H)
    tokens = random.integers(0, 3, (2, T))
    mask = np.ones((2, T), bool)
    mask[0, 3:] = False

    class Padded(keras.layers.Layer):
        def compute_mask(self, inputs, previous_mask=None):
            return keras.ops.convert_to_tensor(mask)

        def call(self, inputs):
            return inputs

    inputs = keras.Input((T,), batch_size=2, dtype="int32")
    padded = keras.Model(inputs, model(Padded()(inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    padded.compile("sgd", loss)
    targets = random.integers(0, 3, (2, T))
    logits = np.asarray(model(tokens))
    nats = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    expected = nats[mask].mean()
    assert padded.evaluate(tokens, targets, batch_size=2, verbose=0) == pytest.approx(expected, rel=1e-5)
