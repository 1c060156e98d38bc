"""Callbacks about parts of the model that learn only for some of the time."""
