"""keras_dl.metrics."""
