"""Many runs: comparisons, searches, and the queue that trains them here or on a Ray cluster."""
