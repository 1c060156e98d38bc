"""Trunks for audio."""
