"""What runs a model: one protocol, and a module for each format."""
