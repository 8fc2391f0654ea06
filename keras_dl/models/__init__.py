"""keras_dl.models."""
