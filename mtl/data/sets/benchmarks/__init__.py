"""The data sets of published tables, read from a folder in the layout of the papers' code."""
