"""SavedModel: what TensorFlow and TensorFlow Serving load."""
