"""An embedded TensorFlow Serving: `rest`, `grpc` (protocols) -> `core` (models, versions) -> `engines`."""
