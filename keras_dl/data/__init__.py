"""keras_dl.data."""
