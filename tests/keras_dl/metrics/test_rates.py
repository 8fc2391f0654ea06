import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from keras_dl.metrics import BitsPerCharacter, bits_per_character, nats_per_character


@pytest.fixture
def predictions():
    random = np.random.default_rng(0)
    return random.normal(size=(4, 9, 7)) * 3, random.integers(0, 7, (4, 9))


def test_a_uniform_guess_costs_log_of_the_vocabulary():
    assert bits_per_character(np.zeros((2, 3, 64)), np.zeros((2, 3), int)) == pytest.approx(6)
    assert nats_per_character(np.zeros((2, 3, 65)), np.ones((2, 3), int)) == pytest.approx(np.log(65))


def test_against_a_loop_over_scipys_softmax(predictions):
    logits, targets = predictions
    expected = np.mean([-log_softmax(logits[b, t])[targets[b, t]] for b in range(4) for t in range(9)])
    assert nats_per_character(logits, targets) == pytest.approx(expected)
    assert bits_per_character(logits, targets) == pytest.approx(expected / np.log(2))


def test_large_logits_do_not_overflow():
    assert nats_per_character([[1e4, 0.0]], [1]) == pytest.approx(1e4)


def test_the_keras_metric_averages_over_batches(predictions):
    logits, targets = predictions
    metric = BitsPerCharacter()
    metric.update_state(targets[:1], logits[:1])
    metric.update_state(targets[1:], logits[1:])
    assert float(metric.result()) == pytest.approx(bits_per_character(logits, targets), rel=1e-5)
    from_probabilities = BitsPerCharacter(from_logits=False)
    from_probabilities.update_state(targets, np.exp(log_softmax(logits, axis=-1)))
    assert float(from_probabilities.result()) == pytest.approx(bits_per_character(logits, targets), rel=1e-4)


def test_the_keras_metric_is_restored_from_its_config():
    metric = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(BitsPerCharacter(from_logits=False, name="bpc"))
    )
    assert (metric.name, metric.from_logits) == ("bpc", False)


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (
            np.zeros((4, 8), int),
            r"targets: expected one id for each row of logits \(4, 9, 7\), got shape \(4, 8\)",
        ),
        (np.full((4, 9), 7), "targets: expected ids from 0 to 6, got 7 to 7"),
    ],
)
def test_wrong_targets_are_named(predictions, targets, text):
    with pytest.raises(ValueError, match=text):
        nats_per_character(predictions[0], targets)
