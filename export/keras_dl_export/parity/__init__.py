"""Checks that a written file gives the model's numbers in its own runtime."""
