"""One answer for every pixel."""
