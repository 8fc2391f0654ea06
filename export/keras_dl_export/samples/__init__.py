"""Inputs to try a model on: kinds of values and sizes, and the model's answers to them."""
