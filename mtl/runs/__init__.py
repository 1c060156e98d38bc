"""The files of a run: folder and lock, the record that repeats it, metrics and checkpoints."""
