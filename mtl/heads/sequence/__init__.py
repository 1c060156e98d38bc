"""One answer for every step of a sequence."""
