"""Recordings: reading files, and samples of them."""
