"""State that Keras omits from saved models, and checks against formats that cannot be loaded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from keras.src.backend.common import global_state

_SEED = "seed_"  # prefix of the number of a random generator in a store
_REFUSAL = (
    "filepath: expected a path that ends in .keras, got {got}, for Keras's legacy HDF5 format, which does "
    "not support subclassed models. Save it with model.save('model.keras')."
)
_warned: set[str] = set()


def check_path(path: Any) -> None:
    """Check that the path is not for HDF5.

    Raises:
        ValueError: the path ends in .h5 or .hdf5.
    """
    if Path(str(path)).suffix.lower() in (".h5", ".hdf5"):
        raise ValueError(_REFUSAL.format(got=repr(str(path))))


def check_format() -> None:
    """Check that no function of Keras is writing HDF5, which does not call `save` of the model.

    Raises:
        ValueError: such a function is running.
    """
    if global_state.get_global_attribute("use_legacy_config", False):
        raise ValueError(_REFUSAL.format(got="a file of .h5"))


def warn_about_weights_file(path: Any) -> None:
    """Warn, once per process, that training cannot resume from a file with only weights."""
    if not _warned:
        _warned.add("weights")
        warnings.warn(
            f"filepath: {path} does not contain the settings of the optimizer, and its state can only be "
            "loaded into a model compiled in the same way. To resume training later, use "
            "model.save('model.keras').",
            stacklevel=3,
        )


def save_seeds(model: Any, store: Any) -> None:
    """Save the state of all random generators in the model, including those of Keras's `Dropout`."""
    for number, state in enumerate(_seeds(model)):
        store[f"{_SEED}{number}"] = state


def load_seeds(model: Any, store: Any) -> dict[str, Any]:
    """Restore what `save_seeds` saved, if present, and return the other entries."""
    rest = {key: store[key] for key in store.keys()}  # noqa: SIM118 - Keras's stores have no other iterator
    for number, state in enumerate(_seeds(model)):
        saved = rest.pop(f"{_SEED}{number}", None)
        if saved is not None:
            state.assign(saved)
    return rest


def _seeds(model: Any) -> list[Any]:
    weights = {id(weight) for weight in model.weights}  # without the generators
    return [variable for variable in model.non_trainable_variables if id(variable) not in weights]
