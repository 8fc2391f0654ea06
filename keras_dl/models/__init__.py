"""The models of the notes: one family a file."""

from __future__ import annotations

from keras_dl.models.loading import load_model

__all__ = ["load_model"]
