"""Predictions of a trained model: folders, tables, texts and recordings, and the files they become."""
