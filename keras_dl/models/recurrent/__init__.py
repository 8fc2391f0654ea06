"""Models of recurrent layers: classes and numbers from sequences, and the next character of a text."""

from __future__ import annotations

from keras_dl.models.recurrent.language_model import LanguageModel
from keras_dl.models.recurrent.sequence import SequenceClassifier, SequenceRegressor

__all__ = ["LanguageModel", "SequenceClassifier", "SequenceRegressor"]
