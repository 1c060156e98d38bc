"""Callbacks that draw held-back samples."""
