"""Data sets that are generated or downloaded."""
