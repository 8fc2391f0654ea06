"""What the notes prove, as functions that return numbers; `plot_*` draw them on given axes.

Names are imported when they are first used: the formulas need NumPy alone, `bump_network` and `tower_network`
need Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_dl.theory.adversarial import (
        GeneratorGradients,
        ModeCoverage,
        fit_discriminator,
        game_value,
        generator_gradients,
        jensen_shannon_divergence,
        mode_coverage,
        optimal_discriminator,
        ring_centres,
        ring_of_gaussians,
    )
    from keras_dl.theory.approximation import bump_network, sup_error, tower_network
    from keras_dl.theory.convolution import conv_output_size, convolution_matrix, pool_output_size
    from keras_dl.theory.elbo import LinearGaussianVAE, principal_components
    from keras_dl.theory.equivariance import equivariance_gap, invariance_gap, shift_images
    from keras_dl.theory.generalisation import (
        ErrorTerms,
        decompose_error,
        hoeffding_bound,
        hoeffding_deviation,
        hoeffding_sample_size,
        learning_curves,
        simulated_tail,
    )
    from keras_dl.theory.gradient_flow import (
        BPTT,
        GradientNorms,
        bptt,
        clip_by_norm,
        gru_gradient_norms,
        lstm_gradient_norms,
        random_recurrence,
        rnn_gradient_norms,
        spectral_radius,
        with_spectral_radius,
    )
    from keras_dl.theory.perceptron import (
        PerceptronRun,
        Separation,
        novikoff_bound,
        separation,
        train_perceptron,
    )

_NAMES = {
    "adversarial": (
        "GeneratorGradients",
        "ModeCoverage",
        "fit_discriminator",
        "game_value",
        "generator_gradients",
        "jensen_shannon_divergence",
        "mode_coverage",
        "optimal_discriminator",
        "ring_centres",
        "ring_of_gaussians",
    ),
    "approximation": ("bump_network", "sup_error", "tower_network"),
    "convolution": ("conv_output_size", "convolution_matrix", "pool_output_size"),
    "elbo": ("LinearGaussianVAE", "principal_components"),
    "equivariance": ("equivariance_gap", "invariance_gap", "shift_images"),
    "generalisation": (
        "ErrorTerms",
        "decompose_error",
        "hoeffding_bound",
        "hoeffding_deviation",
        "hoeffding_sample_size",
        "learning_curves",
        "simulated_tail",
    ),
    "gradient_flow": (
        "BPTT",
        "GradientNorms",
        "bptt",
        "clip_by_norm",
        "gru_gradient_norms",
        "lstm_gradient_norms",
        "random_recurrence",
        "rnn_gradient_norms",
        "spectral_radius",
        "with_spectral_radius",
    ),
    "perceptron": ("PerceptronRun", "Separation", "novikoff_bound", "separation", "train_perceptron"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "BPTT",
    "ErrorTerms",
    "GeneratorGradients",
    "GradientNorms",
    "LinearGaussianVAE",
    "ModeCoverage",
    "PerceptronRun",
    "Separation",
    "bptt",
    "bump_network",
    "clip_by_norm",
    "conv_output_size",
    "convolution_matrix",
    "decompose_error",
    "equivariance_gap",
    "fit_discriminator",
    "game_value",
    "generator_gradients",
    "gru_gradient_norms",
    "hoeffding_bound",
    "hoeffding_deviation",
    "hoeffding_sample_size",
    "invariance_gap",
    "jensen_shannon_divergence",
    "learning_curves",
    "lstm_gradient_norms",
    "mode_coverage",
    "novikoff_bound",
    "optimal_discriminator",
    "pool_output_size",
    "principal_components",
    "random_recurrence",
    "ring_centres",
    "ring_of_gaussians",
    "rnn_gradient_norms",
    "separation",
    "shift_images",
    "simulated_tail",
    "spectral_radius",
    "sup_error",
    "tower_network",
    "train_perceptron",
    "with_spectral_radius",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"keras_dl.theory.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'keras_dl.theory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
