"""Callbacks that change what is minimised: balancing, task schedules, the watch on losses, and their telemetry."""
