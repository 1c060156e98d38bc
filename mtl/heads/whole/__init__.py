"""Heads with one answer for a whole sample."""
