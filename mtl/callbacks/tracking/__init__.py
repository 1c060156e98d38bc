"""Callbacks and loggers for progress, tables and Weights & Biases."""
