"""What lies on the disk for a run: its folder and lock, the record of how it came about, metrics and checkpoints."""
