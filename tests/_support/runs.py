"""Small runs, and a comparison of two of them."""

import keras
import numpy as np

from keras_dl import callbacks

SMALL = {"filters": "4,4", "units": "16", "latent_dim": "3"}


def weights(model):
    optimizers = callbacks.named_optimizers(model).values()
    return [
        np.asarray(v)
        for v in (*model.variables, *(v for optimizer in optimizers for v in optimizer.variables))
    ]


def assert_same_bits(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt
