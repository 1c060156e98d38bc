"""Public data sets that `python -m mtl data NAME` fetches: one file each."""
