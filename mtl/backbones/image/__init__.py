"""Trunks for images."""
