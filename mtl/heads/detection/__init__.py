"""Heads that predict boxes."""
