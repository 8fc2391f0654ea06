"""The required Keras backend, TensorFlow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from keras_dl_export.errors import BackendError


def require_tensorflow_backend() -> None:
    """Raise an error for any Keras backend other than TensorFlow.

    Call it before `import keras`: Keras imports its backend there, and a missing backend would raise its own
    ImportError instead.

    Raises:
        BackendError: Keras is set to, or already runs on, another backend.
    """
    backend, origin = _configured_backend()
    if backend != "tensorflow":
        raise BackendError(
            f"Keras backend: expected 'tensorflow', got {backend!r} ({origin}). Models are trained, exported "
            "and served with TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported."
        )


def _configured_backend() -> tuple[str, str]:
    """Return the backend and the source of the setting, in the order that Keras uses."""
    loaded = getattr(sys.modules.get("keras"), "config", None)
    if loaded is not None:
        return loaded.backend(), "Keras is already imported"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "the environment variable KERAS_BACKEND"
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    config = Path(home, "keras.json").expanduser()
    try:
        return str(json.loads(config.read_text()).get("backend", "tensorflow")), str(config)
    except (OSError, ValueError):
        return "tensorflow", "the default"
