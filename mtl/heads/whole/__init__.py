"""Heads with one prediction for a whole sample."""
