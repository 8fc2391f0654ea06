"""keras_dl.recipes."""
