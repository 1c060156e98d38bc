"""Data sets in shards: large files for fast or remote storage."""
