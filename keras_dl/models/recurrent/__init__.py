"""Recurrent models: classification and regression of sequences, and character language models."""

from __future__ import annotations

from keras_dl.models.recurrent.language_model import LanguageModel
from keras_dl.models.recurrent.sequence import SequenceClassifier, SequenceRegressor

__all__ = ["LanguageModel", "SequenceClassifier", "SequenceRegressor"]
