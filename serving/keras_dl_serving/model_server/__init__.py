"""`keras-dl-model-server`: TensorFlow Serving's command line, its flags and configuration files."""
