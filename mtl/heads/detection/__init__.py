"""Heads with boxes."""
