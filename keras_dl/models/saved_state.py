"""What Keras leaves out of a saved model, and what it saves that could not be read back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from keras.src.backend.common import global_state

_SEED = "seed_"  # in a store, before the number of a random generator
_REFUSAL = (
    "filepath: expected a path that ends in .keras, got {got}, for Keras's old HDF5 format, which cannot "
    "hold a model that is a class of its own. Save it with model.save('model.keras')."
)
_said: set[str] = set()


def check_path(path: Any) -> None:
    """Refuse to save a model as HDF5.

    Raises:
        ValueError: the path ends in .h5 or .hdf5.
    """
    if Path(str(path)).suffix.lower() in (".h5", ".hdf5"):
        raise ValueError(_REFUSAL.format(got=repr(str(path))))


def check_format() -> None:
    """Refuse to write a model as HDF5 by a function of Keras, which asks no model by a method of its own.

    Raises:
        ValueError: such a function is at work.
    """
    if global_state.get_global_attribute("use_legacy_config", False):
        raise ValueError(_REFUSAL.format(got="a file of .h5"))


def say_what_weights_lack(path: Any) -> None:
    """Warn, once a process, that a training cannot go on from a file of weights alone."""
    if not _said:
        _said.add("weights")
        warnings.warn(
            f"filepath: {path} holds no optimizer that a training could go on with: no settings of it, and "
            "its state is read back only into a model that is compiled alike. Use model.save('model.keras') "
            "for a file to train on from.",
            stacklevel=3,
        )


def save_seeds(model: Any, store: Any) -> None:
    """Save the state of all random generators in the model, those of Keras's `Dropout` among them."""
    for number, state in enumerate(_seeds(model)):
        store[f"{_SEED}{number}"] = state


def load_seeds(model: Any, store: Any) -> dict[str, Any]:
    """Restore what `save_seeds` saved, if it is there; the rest of what is saved."""
    rest = {key: store[key] for key in store.keys()}  # noqa: SIM118 - Keras's stores have no other iterator
    for number, state in enumerate(_seeds(model)):
        saved = rest.pop(f"{_SEED}{number}", None)
        if saved is not None:
            state.assign(saved)
    return rest


def _seeds(model: Any) -> list[Any]:
    weights = {id(weight) for weight in model.weights}  # which leave the generators out
    return [variable for variable in model.non_trainable_variables if id(variable) not in weights]
