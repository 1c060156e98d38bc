"""A look at data before training: what is there, what is wrong, and a config that trains on it."""
