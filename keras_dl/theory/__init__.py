"""keras_dl.theory."""
