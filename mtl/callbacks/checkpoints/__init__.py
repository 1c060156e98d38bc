"""Callbacks about saved states: the best and last checkpoint, averaged weights, signals, seeds by step."""
