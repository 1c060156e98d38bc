"""Several data sets, with labels of different tasks, in one run."""
