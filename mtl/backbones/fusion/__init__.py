"""Trunks that join several inputs, each with an ordinary backbone as its encoder."""
