"""Run a recipe into a run folder."""
