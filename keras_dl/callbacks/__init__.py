"""keras_dl.callbacks."""
