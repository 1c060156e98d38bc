"""Metric sets per output type: they read a head's decoded predictions and a batch, and skip what is not labelled."""
