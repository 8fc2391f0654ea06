"""keras_dl.layers."""
