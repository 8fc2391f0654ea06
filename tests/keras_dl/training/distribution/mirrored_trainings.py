"""The trainings that test_mirrored.py examines: `python mirrored_trainings.py REPORT.json`.

A process of its own, because devices can only be split before TensorFlow starts: docs/scaling.md says how.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parents[4] / "docs"
SETTINGS: dict[str, dict[str, Any]] = {
    "mlp-digits": {"units": "16"},
    "vae-digits": {"units": "16", "filters": "4", "latent_dim": 3},
    "cnn-digits": {"filters": "4"},
}


def example_of_the_docs() -> str:
    """Run the page's Python, which makes two devices of the processor; what it prints."""
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "scaling.md", "exec"), {"__name__": "scaling"})
    return printed.getvalue()


def differences(name: str) -> dict[str, float]:
    """How far the weights and figures of two devices are from those of one.

    Of 91 examples 9 validate and 73 train: in both cases the last batch has a single one.
    """
    from keras_dl.training import train

    random = np.random.default_rng(0)
    images, labels = random.random((91, 8, 8, 1), np.float32), np.arange(91) % 3
    one, two = (
        train(
            name,
            data=images if name == "vae-digits" else (images, labels),
            settings=SETTINGS[name],
            epochs=1,
            batch_size=8,
            strategy=strategy,
            verbose=False,
            out=tempfile.mkdtemp(),
        )
        for strategy in (None, "mirrored")
    )
    pairs = zip(one.model.get_weights(), two.model.get_weights(), strict=True)
    figures = {
        figure: float(np.abs(np.subtract(values, two.history[figure])).max())
        for figure, values in one.history.items()
        if figure != "seconds"
    }
    return {**figures, "weights": max(float(np.abs(mine - other).max()) for mine, other in pairs)}


def errors_of_broken_exchanges() -> list[str]:
    """What two trainings say when the replicas of the first exchange what does not fit together."""
    import tensorflow as tf

    from keras_dl.replicas import replica_sum
    from keras_dl.training.distribution import open_team

    team = open_team("mirrored")

    def exchange(equal: bool) -> Any:
        mine = tf.distribute.get_replica_context().replica_id_in_sync_group
        return replica_sum(tf.zeros([2] if equal else [1 + mine]))

    errors = []
    for equal in (False, True):
        try:
            with team.training():
                team.strategy.run(tf.function(exchange), args=(equal,))
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    return errors


if __name__ == "__main__":
    report: dict[str, Any] = {"printed": example_of_the_docs()}
    report["differences"] = {name: differences(name) for name in SETTINGS}
    report["errors"] = errors_of_broken_exchanges()  # last: no exchange is possible after that
    Path(sys.argv[1]).write_text(json.dumps(report))
