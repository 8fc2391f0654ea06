"""Run a SavedModel in TensorFlow. No module that writes files is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_dl_export.formats.saved_model.saved_model_names import read_input_names
from keras_dl_export.names import as_parameters
from keras_dl_export.runner import Arrays, Runner
from keras_dl_export.specs import Spec


class SavedModelRunner(Runner):
    """One signature of a SavedModel.

    Args:
        endpoint: the signature's name.
        loaded: the result of `tf.saved_model.load`.
        names: the signature's inputs.
    """

    def __init__(self, endpoint: str, loaded: Any, names: Iterable[str]) -> None:
        signature = loaded.signatures[endpoint]
        self._parameters = as_parameters(names)
        specs = _specs(signature.structured_input_signature[1])
        super().__init__(
            endpoint,
            {name: specs[parameter] for name, parameter in self._parameters.items()},
            _specs(signature.structured_outputs),
        )
        self._loaded = loaded  # owns the variables
        self._signature = signature

    def run(self, inputs: Arrays) -> Arrays:
        """Run the signature on arrays that fit `inputs`."""
        tensors = {
            self._parameters[name]: tf.constant(array, self.inputs[name].dtype)
            for name, array in inputs.items()
        }
        return {name: tensor.numpy() for name, tensor in self._signature(**tensors).items()}


def open_saved_model(path: Path) -> dict[str, SavedModelRunner]:
    """Load a SavedModel once and return a runner for each of its signatures."""
    loaded = tf.saved_model.load(str(path))
    names = {
        name: list(signature.structured_input_signature[1]) for name, signature in loaded.signatures.items()
    }
    # A parameter with another name than the input has such an ending or beginning.
    if any(name.endswith("_") or name.startswith("arg_") for inputs in names.values() for name in inputs):
        names = read_input_names(path)
    return {name: SavedModelRunner(name, loaded, names[name]) for name in loaded.signatures}


def _specs(tensors: Mapping[str, Any]) -> dict[str, Spec]:
    return {name: Spec.named(name, spec.shape or (), spec.dtype.name) for name, spec in tensors.items()}
