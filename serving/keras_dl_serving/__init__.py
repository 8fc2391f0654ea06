"""An embedded TensorFlow Serving, and a client without TensorFlow. Names are imported on first use."""

__all__: list[str] = []
