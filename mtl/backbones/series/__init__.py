"""Trunks for series of numbers."""
