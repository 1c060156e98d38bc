"""Pictures and maps as NumPy files, one a sample, as benchmarks of dense tasks are shared."""
