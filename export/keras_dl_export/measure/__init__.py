"""Accuracy, floating-point operations and latency of models and files."""
