"""Callbacks that draw: held-back samples, feature usage and the curves of a run."""
