"""The reason of a framework's error, without its traceback."""

from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import ops

from keras_dl_export.errors import first_line


class Failing(keras.layers.Layer):
    """A layer that raises the given error, or multiplies shapes that do not match."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    def call(self, x: Any) -> Any:
        if self.error is None:
            return ops.matmul(x, tf.zeros((7, 7)))
        raise self.error


def _caught(function: Any, *arguments: Any) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*arguments)
    reason = first_line(caught.value)
    assert "\n" not in reason
    assert "\x1b" not in reason
    return reason


@pytest.mark.parametrize("autograph", [None, True, False])
@pytest.mark.parametrize(
    ("error", "decisive"),
    [
        (ValueError("the depth is 3"), "the depth is 3"),
        (ValueError("two lines:\n  of a reason\n  in one"), "two lines: of a reason in one"),
        (ValueError("the case is announced:\n\nand given below\n\nand more"), "announced: and given below"),
        (KeyError("weights"), "KeyError weights"),
        (AssertionError(), "AssertionError"),
        (None, "7"),
    ],
)
def test_keras_and_autograph_are_unwrapped(
    error: BaseException | None, decisive: str, autograph: bool | None
) -> None:
    layer = Failing(error)
    if autograph is None:
        reason = _caught(layer, tf.zeros((2, 4)))
    else:
        traced = tf.function(lambda x: layer(x), autograph=autograph)
        reason = _caught(traced.get_concrete_function, tf.TensorSpec([None, 4]))
    assert reason.startswith("in Failing.call(): ")
    assert decisive in reason
    for noise in ("user code", "File ", "Arguments received", "{{", "Exception encountered"):
        assert noise not in reason


def test_a_graph_names_its_node_and_not_its_source() -> None:
    function = tf.function(lambda x: x @ tf.zeros((7, 7)), autograph=False)
    reason = _caught(function.get_concrete_function(tf.TensorSpec([None, None])), tf.zeros((2, 3)))
    assert "7" in reason
    assert "Graph execution error" not in reason
    assert "node" not in reason


def test_the_description_of_a_resource_follows_its_announcement() -> None:
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    function = tf.function(lambda x: table.lookup(x)).get_concrete_function(tf.TensorSpec([None], tf.string))
    with pytest.raises(Exception, match="untracked") as caught:
        tf.saved_model.save(tf.Module(), "/nonexistent/unused", signatures=function)
    assert "Captured Tensor" in first_line(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '<unknown>:0: error: loc(callsite(fused["Erfinv:", "m/a@__inference_f"] at fused["b"])): '
            "'tf.Erfinv' op is neither a custom op nor a flex op\n<unknown>:0: note: called from\n"
            "Could not translate MLIR to FlatBuffer.",
            "'tf.Erfinv' op is neither a custom op nor a flex op",
        ),
        (
            "tensorflow/lite/kernels/reshape.cc:92 num_input_elements != num_output_elements (3 != 7)",
            "num_input_elements != num_output_elements (3 != 7)",
        ),
        ("   ", "RuntimeError"),
        ("It ends with a question?\n\nAnd goes on.", "It ends with a question?"),
    ],
)
def test_converters_and_runtimes(text: str, reason: str) -> None:
    assert first_line(RuntimeError(text)) == reason
