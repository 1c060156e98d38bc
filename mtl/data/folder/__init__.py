"""Anybody's own folder of pictures: names, annotations and labels, checked before anything is trained."""
