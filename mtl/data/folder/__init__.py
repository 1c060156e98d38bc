"""Data sets in a folder of pictures: names, annotations and labels, checked before training."""
