"""Augmentation of training samples; all targets are transformed together."""
