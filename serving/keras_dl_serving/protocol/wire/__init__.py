"""TensorFlow Serving's protocol buffers without TensorFlow: messages, and NumPy arrays in them."""
