"""Trunks for tables."""
