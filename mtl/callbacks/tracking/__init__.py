"""Callbacks and loggers that report: progress, tables, curves, Weights & Biases."""
