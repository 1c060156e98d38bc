"""Trunks for text."""
