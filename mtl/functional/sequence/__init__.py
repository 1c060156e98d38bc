"""Sequences: searches, paths and losses over steps, and scores of texts."""
