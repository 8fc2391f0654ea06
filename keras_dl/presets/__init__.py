"""Trained weights that this package ships, and how they are read.

`keras_dl.training.make_preset` writes them.
"""

from __future__ import annotations

from keras_dl.presets.pretrained import list_presets, load_preset

__all__ = ["list_presets", "load_preset"]
