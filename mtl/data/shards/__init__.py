"""Data sets in large files, for fast or remote storage."""
