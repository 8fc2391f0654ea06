"""Metrics of trained models: pure functions of arrays, and a Keras metric for use in `fit`."""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.metrics.distances import PrecisionRecall, frechet_distance, kernel_distance, precision_recall
from keras_dl.metrics.lenet import LeNetOutputs, lenet_outputs
from keras_dl.metrics.likelihood import (
    LatentVariableModel,
    active_units,
    binarized,
    importance_sampled_nll,
    kl_per_unit,
)
from keras_dl.metrics.quality import (
    ClassCoverage,
    DistanceWithFloor,
    Floored,
    SampleQuality,
    class_coverage,
    frechet_lenet_distance,
    sample_quality,
)
from keras_dl.metrics.rates import BitsPerCharacter, bits_per_character, nats_per_character

__all__ = [
    "BitsPerCharacter",
    "ClassCoverage",
    "DistanceWithFloor",
    "Floored",
    "LatentVariableModel",
    "LeNetOutputs",
    "PrecisionRecall",
    "SampleQuality",
    "active_units",
    "binarized",
    "bits_per_character",
    "class_coverage",
    "frechet_distance",
    "frechet_lenet_distance",
    "importance_sampled_nll",
    "kernel_distance",
    "kl_per_unit",
    "lenet_outputs",
    "nats_per_character",
    "precision_recall",
    "sample_quality",
]
