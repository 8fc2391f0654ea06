"""Model features that a target does not support, expressed by features that it supports."""

from keras_dl_export.lowering.argmax import plain_argmax
from keras_dl_export.lowering.fresh_functions import fresh_functions
from keras_dl_export.lowering.image_sizes import any_image_size
from keras_dl_export.lowering.inference import at_inference
from keras_dl_export.lowering.new_axes import plain_new_axes
from keras_dl_export.lowering.noise import mean_noise
from keras_dl_export.lowering.operators import Replacements, replaced_operators
from keras_dl_export.lowering.precision import in_float32
from keras_dl_export.lowering.recurrent import (
    Emitter,
    Inexpressible,
    Recurrence,
    recurrent_layers,
)
from keras_dl_export.lowering.scopes import any_scope
from keras_dl_export.lowering.time_distributed import known_time
from keras_dl_export.lowering.training import training_calls

__all__ = [
    "Emitter",
    "Inexpressible",
    "Recurrence",
    "Replacements",
    "any_image_size",
    "any_scope",
    "at_inference",
    "fresh_functions",
    "in_float32",
    "known_time",
    "mean_noise",
    "plain_argmax",
    "plain_new_axes",
    "recurrent_layers",
    "replaced_operators",
    "training_calls",
]
