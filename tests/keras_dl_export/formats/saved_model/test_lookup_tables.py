"""Lookup tables in any attribute of a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl_export import load_artifact, to_saved_model

WORDS = np.array([["a", "b"], ["c", "g"]], object)


def _table(*words: str) -> Any:
    initializer = tf.lookup.KeyValueTensorInitializer(words, tf.range(len(words), dtype="int64"))
    return tf.lookup.StaticHashTable(initializer, -1)


def _mutable() -> Any:
    table = tf.lookup.experimental.MutableHashTable("string", "int64", -1)
    table.insert(["a", "g"], np.int64([7, 8]))
    return table


_GLOBAL = _table("g")


class Lookups(layers.Layer):
    """A layer that looks its input up in all tables that `tables` finds in `kept`."""

    def __init__(self, kept: Any, tables: Callable[[Any], list[Any]]) -> None:
        super().__init__()
        self.kept = kept
        self.tables = tables

    def call(self, x: Any) -> Any:
        return tf.stack([table(x) for table in self.tables(self.kept)], -1)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((*x.shape, None), "int64")


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Lookups([_table("a", "b"), _table("c")], lambda kept: [t.lookup for t in kept]),
        lambda: Lookups({"x": _table("b"), "y": _table("c")}, lambda kept: [kept["x"].lookup]),
        lambda: Lookups({"x": [_table("b"), (_table("c"),)]}, lambda kept: [kept["x"][1][0].lookup]),
        lambda: Lookups(tf.Module(), (lambda table: lambda kept: [table.lookup])(_table("c", "a"))),
        lambda: Lookups(None, lambda kept: [_GLOBAL.lookup]),
        lambda: Lookups([_mutable()], lambda kept: [t.lookup for t in kept]),
        lambda: Lookups([layers.StringLookup(vocabulary=["a", "g"])], list),
        lambda: Lookups({"x": layers.TextVectorization(vocabulary=["b"], split=None)}, lambda k: [k["x"]]),
    ],
    ids=["list", "dict", "nested", "closure", "global", "mutable", "lookup_layers", "text_layers"],
)
def test_a_saved_model_holds_the_tables(layer: Callable[[], Lookups], tmp_path: Path) -> None:
    x = keras.Input((2,), dtype="string", name="x")
    lookups = layer()
    model = keras.Model(x, lookups(x))
    to_saved_model(model, tmp_path / "saved")
    found = load_artifact(tmp_path / "saved")({"x": WORDS})["output"]
    np.testing.assert_array_equal(found, lookups(tf.constant(WORDS)))
    assert len(np.unique(found)) > 1
