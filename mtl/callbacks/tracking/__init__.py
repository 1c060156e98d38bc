"""Callbacks and loggers that report: progress, tables, Weights & Biases."""
