"""ONNX: one graph a file, for onnxruntime."""
