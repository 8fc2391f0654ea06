"""Trained weights that are part of this package, and their reader.

`keras_dl.training.make_preset` writes them.
"""

from __future__ import annotations

from keras_dl.presets.pretrained import list_presets, load_preset

__all__ = ["list_presets", "load_preset"]
