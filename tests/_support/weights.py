"""Weights that differ from one another, so that a lost or exchanged one shows."""

from __future__ import annotations

import keras
import numpy as np


def disturb(model: keras.Model) -> keras.Model:
    """Give every weight, moving statistics included, its own value: zeros and ones would hide a lost one."""
    random = np.random.default_rng(7)
    for weight in model.weights:
        values = random.uniform(0.2, 0.6, weight.shape) * random.choice((1.0, 1.0, -1.0), weight.shape)
        weight.assign(np.abs(values) if "variance" in weight.name else values)
    return model
