"""Trains every case on two devices of a `MirroredStrategy`: `python -m tests.conformance.mirrored FOLDER`.

A process of its own, because devices can only be split before TensorFlow starts. It leaves for each case a
`<name>.json` with the history or the error, and `<name>.keras` and `<name>.npz`, the model and its weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.conformance.registry import CASES
from tests.conformance.test_conformance import make, train, validation


def main() -> None:
    folder = Path(sys.argv[1])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for case in CASES:
        with strategy.scope():
            model = make(case)
        try:
            history = train(model, case, epochs=2, validation_data=validation(case)).history
            model.save(folder / f"{case.name}.keras")
            np.savez(folder / f"{case.name}.npz", *model.get_weights())
            report = {"history": history}
        except Exception as error:
            report = {"error": f"{type(error).__name__}: {error}"}
        (folder / f"{case.name}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
