"""Checks that a written file reproduces the model's numbers in its own runtime."""
