"""Data sets that are made or downloaded."""
