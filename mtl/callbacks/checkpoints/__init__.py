"""Callbacks for saved states: the best and last checkpoint, averaged weights, stop signals, seeds of each step."""
