import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from keras_dl import callbacks
from keras_dl.reports import figures
from tests._support.runs import assert_same_bits, weights

x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
y = x @ np.array([[1.0], [-2.0], [0.5]], "float32")


def regression(seed=0, **optimizer):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.3), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(**{"learning_rate": 0.1, **optimizer}), "mse", jit_compile=False)
    return model


def fit(model, *watchers, epochs=3, features=x, **options):
    return model.fit(
        features,
        y,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(watchers),
        **options,
    )


# Progress


def test_without_a_terminal_about_ten_lines_are_printed():
    text = io.StringIO()
    fit(regression(), callbacks.ProgressBar(Console(file=text, width=200)), epochs=40, validation_data=(x, y))
    lines = text.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [f"{epoch}/40" for epoch in range(4, 41, 4)]
    assert "\x1b" not in text.getvalue()
    assert "loss" in lines[0]


def test_a_terminal_shows_the_progress_and_its_cursor_again():
    text = io.StringIO()
    fit(regression(), callbacks.ProgressBar(Console(file=text, width=200, force_terminal=True)), epochs=2)
    assert "epoch 2/2" in text.getvalue()
    assert "100%" in text.getvalue()
    assert text.getvalue().rfind("\x1b[?25h") > text.getvalue().rfind("\x1b[?25l")


# History


def test_the_history_file_holds_every_epoch_exactly(tmp_path):
    history = callbacks.HistoryFile(tmp_path / "history.csv")
    reported = fit(regression(), history, validation_data=(x, y)).history
    read = callbacks.read_history(tmp_path / "history.csv")
    assert read == history.history
    assert {name: read[name] for name in reported} == reported
    assert (tmp_path / "history.csv").read_text().startswith("epoch,seconds,learning_rate,loss,val_loss\n1,")


def test_the_history_continues_where_it_was_cut(tmp_path):
    path = tmp_path / "history.csv"
    callbacks.write_history(path, {"seconds": [1.0, 2.0, 3.0], "loss": [0.1, 0.2, 0.3]})
    assert callbacks.read_history(path, 2) == {"seconds": [1.0, 2.0], "loss": [0.1, 0.2]}
    assert callbacks.read_history(tmp_path / "none.csv") == {}


def test_the_learning_rate_of_a_schedule_is_recorded(tmp_path):
    history = callbacks.HistoryFile(tmp_path / "history.csv")
    schedule = keras.optimizers.schedules.PolynomialDecay(0.9, decay_steps=9, end_learning_rate=0.0)
    fit(regression(learning_rate=schedule), history)  # 3 epochs of 3 steps
    np.testing.assert_allclose(history.history["learning_rate"], [0.6, 0.3, 0.0], atol=1e-6)


# Numbers that break down


def test_nan_stops_at_its_step_and_leaves_the_last_good_checkpoint(tmp_path):
    def batches():
        for epoch in range(3):
            for step in range(4):
                yield x[:8] * (np.nan if (epoch, step) == (1, 2) else 1), y[:8]

    data = tf.data.Dataset.from_generator(
        batches, output_signature=(tf.TensorSpec((8, 3)), tf.TensorSpec((8, 1)))
    )
    watchers = [callbacks.StopOnNonFinite("Turn it down."), callbacks.Checkpoints(tmp_path)]
    with pytest.raises(
        callbacks.NonFiniteError, match="loss: became nan at step 3 of epoch 2. Turn it down."
    ) as error:
        regression().fit(data, epochs=3, steps_per_epoch=4, shuffle=False, verbose=0, callbacks=watchers)
    assert (error.value.figure, error.value.epoch, error.value.step) == ("loss", 2, 3)
    path, epochs = callbacks.latest_checkpoint(tmp_path)
    assert epochs == 1
    model = regression()
    model.optimizer.build(model.trainable_variables)
    callbacks.restore_state(model, path)
    assert all(np.isfinite(value).all() for value in weights(model))


def test_weights_that_the_last_step_of_an_epoch_breaks_reach_no_checkpoint(tmp_path):
    class Breaks(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return keras.ops.where(step < 5, 0.1, float("nan"))

    model = regression(learning_rate=Breaks())  # 3 steps an epoch: the 6th ends the second
    watchers = [callbacks.StopOnNonFinite(), callbacks.Checkpoints(tmp_path)]
    with pytest.raises(callbacks.NonFiniteError, match="kernel: became nan at step 3 of epoch 2. Lower"):
        fit(model, *watchers)
    path, epochs = callbacks.latest_checkpoint(tmp_path)
    assert epochs == 1
    callbacks.restore_state(model, path)
    assert all(np.isfinite(value).all() for value in weights(model))


# Checkpoints


def test_a_restored_model_continues_to_the_same_bits(tmp_path):
    whole = regression()
    fit(whole, epochs=5)
    first = regression()
    fit(first, callbacks.Checkpoints(tmp_path), epochs=3)
    second = regression(seed=7)
    second.optimizer.build(second.trainable_variables)
    path, epochs = callbacks.latest_checkpoint(tmp_path)
    callbacks.restore_state(second, path)
    fit(second, epochs=5, initial_epoch=epochs)
    assert_same_bits(weights(second), weights(whole))
    with pytest.raises(AssertionError):  # dropout draws on: the last epochs do change the weights
        assert_same_bits(weights(first), weights(whole))


def test_the_newest_checkpoints_are_kept(tmp_path):
    fit(regression(), callbacks.Checkpoints(tmp_path, keep=2), epochs=11)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0010.npz", "epoch-0011.npz"]
    assert callbacks.latest_checkpoint(tmp_path / "elsewhere") is None


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    callbacks.save_state(regression(), tmp_path / "state.npz")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="checkpoint: expected the .* variables that do not match"):
        callbacks.restore_state(other, tmp_path / "state.npz")


# Averages


def test_validation_uses_the_moving_average_and_training_does_not(tmp_path):
    momentum = 0.8
    trace = []

    class Trace(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            trace.append([np.asarray(w) for w in self.model.trainable_weights])

    averaged = regression(use_ema=True, ema_momentum=momentum)
    history = fit(averaged, Trace(), callbacks.AverageWeights(), validation_data=(x, y)).history
    plain = regression()
    fit(plain, Trace())
    assert_same_bits([w for step in trace[:9] for w in step], [w for step in trace[9:] for w in step])

    average, losses = [w.astype("float64") for w in trace[0]], []
    for step, these in enumerate(trace[:9]):
        if step:
            average = [momentum * a + (1 - momentum) * w for a, w in zip(average, these, strict=True)]
        if step % 3 == 2:
            kernel, bias = average
            losses.append(float(np.mean((x @ kernel + bias - y) ** 2)))
    np.testing.assert_allclose(history["val_loss"], losses, rtol=1e-5)
    for weight, expected in zip(averaged.trainable_weights, average, strict=True):
        np.testing.assert_allclose(np.asarray(weight), expected, rtol=1e-5)


# Early stopping


@pytest.mark.parametrize(
    ("losses", "patience", "stop"),
    [
        ([], 1, False),
        ([3], 1, False),
        ([3, 4], 1, True),
        ([3, 4], 2, False),
        ([3, 4, 3], 2, True),
        ([3, 4, 2], 1, False),
    ],
)
def test_stalled(losses, patience, stop):
    assert callbacks.stalled(losses, patience) is stop


def test_early_stopping_restores_the_best_epoch(tmp_path):
    history = callbacks.HistoryFile(tmp_path / "history.csv")
    stopping = callbacks.EarlyStopping(history, tmp_path / "best.npz", patience=3)
    model = regression(learning_rate=0.8)  # too high to stay at the minimum
    fit(model, history, stopping, epochs=60, validation_data=(x, y))
    losses = history.history["val_loss"]
    assert len(losses) < 60
    assert np.argmin(losses) == len(losses) - 4
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), min(losses), rtol=1e-6)


def test_early_stopping_requires_its_metric(tmp_path):
    history = callbacks.HistoryFile(tmp_path / "history.csv")
    with pytest.raises(ValueError, match="figure: expected a metric of the history .seconds.*got 'val_loss'"):
        fit(regression(), history, callbacks.EarlyStopping(history, tmp_path / "best.npz", patience=3))
    with pytest.raises(ValueError, match="patience: expected a number of epochs of at least 1, got 0"):
        callbacks.EarlyStopping(history, tmp_path / "best.npz", patience=0)


# Pictures and events


def test_pictures_are_written_every_few_epochs(tmp_path):
    drawn = []

    def draw(model):
        drawn.append(np.asarray(model.trainable_weights[0]))
        return figures.image_grid(np.zeros((1, 2, 2, 1)))

    model = regression()
    fit(model, callbacks.Pictures(draw, tmp_path / "samples", every=2, name="grid"), epochs=5)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "grid-0002.png",
        "grid-0004.png",
    ]
    assert len(drawn) == 2
    with pytest.raises(ValueError, match="every: expected a number of epochs of at least 1, got 0"):
        callbacks.Pictures(draw, tmp_path, every=0)


def test_tensorboard_reads_the_metrics_of_each_epoch(tmp_path):
    reported = fit(regression(), callbacks.TensorBoardEvents(tmp_path), validation_data=(x, y)).history
    for part, figure in (("train", "loss"), ("validation", "val_loss")):
        (path,) = (tmp_path / part).iterdir()
        found = {}
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.tag == "epoch_loss"
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[event.step] = float(tf.make_ndarray(value.tensor))
        assert found == pytest.approx(dict(enumerate(reported[figure], start=1)))
