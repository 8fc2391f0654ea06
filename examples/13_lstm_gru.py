"""RNN, LSTM and GRU: gradients over time, untrained and during training.

    python examples/13_lstm_gru.py [--quick] [--out FILE]

About 15 seconds. Expected: over 100 steps the gradient of the vanilla RNN vanishes; the gradients of the
LSTM's cell state and the GRU's state do not if the gates are open. The callback shows every weight's gradient
before and after training.
"""

import keras
import numpy as np
from chapter import chapter

from keras_dl import theory
from keras_dl.callbacks import GradientFlow
from keras_dl.data import load
from keras_dl.layers import GRU, LSTM, VanillaRNN
from keras_dl.models import SequenceClassifier
from keras_dl.reports.theory_figures import plot_gradient_norms

UNITS, FEATURES, STEPS = 32, 4, 100


def norms_of(layer, memory):
    """Return |dh_T/dh_k| of an untrained layer whose gates are opened by a bias of `memory`."""
    layer.build((None, None, FEATURES))
    x = np.random.default_rng(0).standard_normal((STEPS, FEATURES))
    weights = [np.array(each) for each in layer.get_weights()]
    if isinstance(layer, VanillaRNN):
        return theory.rnn_gradient_norms(weights[1].T, weights[0].T, x).hidden
    if isinstance(layer, LSTM):
        weights[2][UNITS : 2 * UNITS] = memory  # the forget gate
        return theory.lstm_gradient_norms(*weights, x).cell[:-1]
    weights[2][:UNITS] = memory  # the update gate
    return theory.gru_gradient_norms(*weights, x).hidden


def main():
    page = chapter(13, 3.8)
    first, second, third = page.axes(3)
    keras.utils.set_random_seed(0)
    layers = {"vanilla RNN": VanillaRNN, "LSTM, along C": LSTM, "GRU": GRU}
    for axes, memory in ((first, 1.0), (second, 4.0)):
        norms = {name: norms_of(layer(UNITS), memory) for name, layer in layers.items()}
        plot_gradient_norms(axes, norms, title=f"gates' bias {memory:g}")
        for name, each in norms.items():
            print(f"bias {memory:g}, {name}: {each[0]:.1e} over {STEPS} steps")
        axes.set_ylim(1e-12, 1e3)

    train = load("digits", seed=0)
    images, labels = next(load("digits", "test", batch_size=128).as_numpy_iterator())
    flow = GradientFlow(images, labels)
    model = SequenceClassifier(cell="lstm", units=32, num_classes=10, image_shape=(8, 8, 1))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, epochs=3 if page.quick else 20, verbose=0, callbacks=[flow]).history
    print(f"LSTM on the rows of digits: accuracy {history['accuracy'][-1]:.3f}")
    flow.plot(third).set_title("gradients of an LSTM in training", fontsize=10)
    page.save()


if __name__ == "__main__":
    main()
