"""Sample inputs of a model, in several kinds of values and sizes, and the model's outputs for them."""
