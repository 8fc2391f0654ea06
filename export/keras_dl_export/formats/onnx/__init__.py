"""ONNX: one graph per file, for onnxruntime."""
