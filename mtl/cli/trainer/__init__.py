"""The commands of Lightning's trainer: fit, validate and test."""
