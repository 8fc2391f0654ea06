"""SavedModel: the format of TensorFlow and TensorFlow Serving."""
