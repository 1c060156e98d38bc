"""Augmentation of training samples, all targets moved together."""
