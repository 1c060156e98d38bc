"""Sentences of data sets: lines of files, vocabularies, and samples made of words."""
